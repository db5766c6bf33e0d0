import { invalidArgument } from '../errors/error.ts';

export type Labels = Readonly<Record<string, string>>;

const maxBytes = 4096;
const maxKeyShown = 64;

/** @throws invalid_argument when a key is empty, or key and value of a label are longer than 4096 bytes together (containerd's words) */
export function validateLabels(labels: Labels, where: string): void {
  for (const [key, value] of Object.entries(labels)) {
    if (key === '') throw invalidArgument(`${where}: label key must not be empty: invalid argument`);
    const total = Buffer.byteLength(key) + Buffer.byteLength(value);
    if (total <= maxBytes) continue;
    throw invalidArgument(
      `${where}: label key and value length (${total} bytes) greater than maximum size (${maxBytes} bytes), key: ${key.slice(0, maxKeyShown)}: invalid argument`,
    );
  }
}

export const labelOf = (labels: Labels, key: string): string | undefined =>
  Object.hasOwn(labels, key) ? labels[key] : undefined;

/** One entry set, or removed when `value` is undefined or empty; safe for keys such as `__proto__`. */
export function withEntry<V>(
  map: Readonly<Record<string, V>>,
  key: string,
  value: V | undefined,
): Record<string, V> {
  const rest = Object.fromEntries(Object.entries(map).filter(([name]) => name !== key));
  return value === undefined || value === '' ? rest : { ...rest, [key]: value };
}

/** Labels as stored: those with an empty value do not exist (as in containerd). */
export const labelsToJson = (labels: Labels): string =>
  JSON.stringify(Object.fromEntries(Object.entries(labels).filter(([, value]) => value !== '')));

export const labelsFromJson = (json: string): Record<string, string> =>
  json === '{}' ? {} : JSON.parse(json);

/**
 * Applies an update that may change labels only. Paths: `labels` (all of them), `labels.<key>`; none means `labels`.
 * @throws invalid_argument naming the path and `object` for any other
 */
export function applyLabelPaths(
  current: Labels,
  wanted: Labels,
  fieldPaths: readonly string[] | undefined,
  object: string,
): Labels {
  if (!fieldPaths?.length) return wanted;
  let labels = current;
  for (const path of fieldPaths) {
    if (path === 'labels') labels = wanted;
    else if (path.startsWith('labels.'))
      labels = withEntry(labels, path.slice(7), labelOf(wanted, path.slice(7)));
    else throw invalidArgument(`cannot update ${JSON.stringify(path)} field on ${object}: invalid argument`);
  }
  return labels;
}

/** What a filter sees under `labels.…`; dots are part of the key. */
export const labelField = (labels: Labels, path: readonly string[]): string | undefined =>
  labelOf(labels, path.join('.'));

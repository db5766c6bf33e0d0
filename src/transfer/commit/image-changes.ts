import { invalidArgument } from '../../errors/error.ts';

/** The `config` object of an image config, as JSON: Docker's field names. */
export type ProcessJson = Readonly<Record<string, unknown>>;

/**
 * Applies lines of a Dockerfile to what an image starts: CMD, ENTRYPOINT, ENV, EXPOSE, LABEL, STOPSIGNAL, USER, VOLUME,
 * WORKDIR. As in docker a new ENTRYPOINT drops the CMD that is not given with it.
 * @throws invalid_argument naming the line
 */
export function applyChanges(process: ProcessJson, lines: readonly string[]): ProcessJson {
  const changes = lines.map(parseLine);
  const changed = changes.reduce((all, { apply, text }) => apply(all, text), process);
  const words = new Set(changes.map(({ word }) => word));
  return words.has('ENTRYPOINT') && !words.has('CMD') ? without(changed, 'Cmd') : changed;
}

type Apply = (process: ProcessJson, text: string) => ProcessJson;

function parseLine(line: string): { readonly word: string; readonly text: string; readonly apply: Apply } {
  const [, word = '', text = ''] = /^\s*([A-Za-z]+)\s+(.*?)\s*$/s.exec(line) ?? [];
  const apply = instructions[word.toUpperCase()];
  if (apply === undefined || text === '')
    throw invalidArgument(
      `change ${JSON.stringify(line.slice(0, 200))}: want one of ${Object.keys(instructions).join(', ')} and a value`,
    );
  return { word: word.toUpperCase(), text, apply };
}

const instructions: Readonly<Record<string, Apply>> = {
  CMD: (process, text) => ({ ...process, Cmd: commandOf(text) }),
  ENTRYPOINT: (process, text) => ({ ...process, Entrypoint: commandOf(text) }),
  ENV(process, text) {
    const old = Array.isArray(process.Env) ? (process.Env as string[]) : [];
    const fresh = pairsOf(text).map(([key, value]) => `${key}=${value}`);
    const keys = new Set(fresh.map((entry) => entry.split('=')[0]));
    return { ...process, Env: [...old.filter((entry) => !keys.has(entry.split('=')[0])), ...fresh] };
  },
  EXPOSE: (process, text) => ({
    ...process,
    ExposedPorts: withKeys(process.ExposedPorts, text.split(/\s+/).map(portOf)),
  }),
  LABEL: (process, text) => ({
    ...process,
    Labels: { ...objectOf(process.Labels), ...Object.fromEntries(pairsOf(text)) },
  }),
  STOPSIGNAL: (process, text) => ({ ...process, StopSignal: text }),
  USER: (process, text) => ({ ...process, User: text }),
  VOLUME: (process, text) => ({
    ...process,
    Volumes: withKeys(process.Volumes, arrayOf(text) ?? text.split(/\s+/)),
  }),
  WORKDIR: (process, text) => ({ ...process, WorkingDir: directoryOf(process, text) }),
};

/** `["a", "b"]` as it is, anything else for the shell. */
const commandOf = (text: string): string[] => arrayOf(text) ?? ['/bin/sh', '-c', text];

function arrayOf(text: string): string[] | undefined {
  if (!text.startsWith('[')) return undefined;
  try {
    const value: unknown = JSON.parse(text);
    if (Array.isArray(value) && value.every((item) => typeof item === 'string')) return value as string[];
  } catch {
    // Said below.
  }
  throw invalidArgument(`${JSON.stringify(text.slice(0, 200))} is no JSON array of strings`);
}

/** `K=V`, `K="v w"` any number of times, or `K v w` once. */
function pairsOf(text: string): [key: string, value: string][] {
  const old = /^([^\s="']+)\s+(.*)$/s.exec(text);
  if (old && !/^[^\s="']+=/.test(text)) return [[old[1] ?? '', old[2] ?? '']];
  const pattern = /\s*([^\s="']+|"[^"]*")=((?:"(?:\\.|[^"\\])*"|'[^']*'|\\.|[^\s"'\\])*)/gsy;
  const pairs: [string, string][] = [];
  let end = 0;
  for (const match of text.matchAll(pattern)) {
    pairs.push([unquoted(match[1] ?? ''), unquoted(match[2] ?? '')]);
    end = match.index + match[0].length;
  }
  if (pairs.length === 0 || text.slice(end).trim() !== '')
    throw invalidArgument(`${JSON.stringify(text.slice(0, 200))}: want KEY=VALUE`);
  return pairs;
}

const unquoted = (text: string): string =>
  text.replace(
    /"((?:\\.|[^"\\])*)"|'([^']*)'|\\(.)/gs,
    (_, double?: string, single?: string, escaped?: string) =>
      double === undefined ? (single ?? escaped ?? '') : double.replace(/\\(.)/gs, '$1'),
  );

function portOf(text: string): string {
  if (/^\d{1,5}(-\d{1,5})?(\/(tcp|udp|sctp))?$/.test(text)) return text.includes('/') ? text : `${text}/tcp`;
  throw invalidArgument(`port ${JSON.stringify(text.slice(0, 40))}: want e.g. 80, 53/udp or 8000-8010`);
}

function directoryOf({ WorkingDir }: ProcessJson, text: string): string {
  if (text.startsWith('/')) return text;
  return `${typeof WorkingDir === 'string' && WorkingDir !== '' ? WorkingDir.replace(/\/$/, '') : ''}/${text}`;
}

const objectOf = (value: unknown): Record<string, unknown> =>
  typeof value === 'object' && value !== null ? { ...value } : {};

const withKeys = (value: unknown, keys: readonly string[]): Record<string, unknown> => ({
  ...objectOf(value),
  ...Object.fromEntries(keys.map((key) => [key, {}])),
});

const without = (process: ProcessJson, key: string): ProcessJson =>
  Object.fromEntries(Object.entries(process).filter(([name]) => name !== key));

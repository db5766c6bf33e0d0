import { invalidArgument } from '../../errors/error.ts';

type Environment = Readonly<Record<string, string | undefined>>;

/**
 * `KEY=VALUE` as it is, `KEY` with the value it has here, dropped when it has none.
 * @throws invalid_argument when there is no name or a NUL
 */
export function parseEnv(text: string, own: Environment): string | undefined {
  const at = text.indexOf('=');
  const name = at < 0 ? text : text.slice(0, at);
  if (name === '' || /[\s\0]/.test(name) || text.includes('\0')) {
    throw invalidArgument(`invalid environment variable ${JSON.stringify(text)}, want NAME=VALUE`);
  }
  if (at >= 0) return text;
  const value = own[name];
  return value === undefined ? undefined : `${name}=${value}`;
}

/**
 * Lines of an env file: `NAME=VALUE` or `NAME`; blank lines and lines that start with # are skipped; values are taken
 * as they are, quotes included, as docker does. `file` is for messages. @throws invalid_argument naming the line
 */
export function parseEnvFile(content: string, file: string, own: Environment): string[] {
  const found: string[] = [];
  for (const [index, raw] of content
    .replace(/^\uFEFF/, '')
    .split(/\r?\n/)
    .entries()) {
    const line = raw.trimStart();
    if (line === '' || line.startsWith('#')) continue;
    try {
      const variable = parseEnv(line, own);
      if (variable !== undefined) found.push(variable);
    } catch (error) {
      throw invalidArgument(`${file}:${index + 1}: want NAME=VALUE or NAME`, error);
    }
  }
  return found;
}

/** `KEY=VALUE` or `KEY` (empty value). @throws invalid_argument */
export function parseLabels(texts: readonly string[]): Record<string, string> {
  const labels: Record<string, string> = {};
  for (const text of texts) {
    const at = text.indexOf('=');
    const key = at < 0 ? text : text.slice(0, at);
    if (key === '') throw invalidArgument(`invalid label ${JSON.stringify(text)}, want KEY=VALUE`);
    labels[key] = at < 0 ? '' : text.slice(at + 1);
  }
  return labels;
}

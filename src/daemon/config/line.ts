/**
 * The line (from 1) on which the key at `path` is set in a TOML text, 0 when it cannot be found. Reads table headers
 * and dotted or quoted keys; good enough to point a person at the place, never used to understand the file.
 */
export function lineOf(text: string, path: readonly string[]): number {
  let table: readonly string[] = [];
  for (const [index, line] of text.split('\n').entries()) {
    const header = /^\s*\[{1,2}([^\]]+)\]{1,2}/.exec(line);
    if (header) table = keyParts(header[1] ?? '');
    const assignment = /^\s*((?:[\w-]+|"[^"]*"|'[^']*')(?:\s*\.\s*(?:[\w-]+|"[^"]*"|'[^']*'))*)\s*=/.exec(
      line,
    );
    const here = header ? table : assignment ? [...table, ...keyParts(assignment[1] ?? '')] : undefined;
    if (here && here.join('.') === path.join('.')) return index + 1;
  }
  return 0;
}

function keyParts(text: string): string[] {
  return [...text.matchAll(/"([^"]*)"|'([^']*)'|([\w-]+)/g)].map((m) => m[1] ?? m[2] ?? m[3] ?? '');
}

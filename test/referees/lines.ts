import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import { run } from '../kit/run.ts';

/** What one line of bash must show, word for word or by pattern, and its exit status (default 0). */
export interface Expected {
  readonly shows: string | RegExp;
  readonly status?: number;
}

export interface Shown {
  readonly status: number | null;
  /** stdout and stderr as one, runs of blanks as one. */
  readonly shown: string;
}

export interface LinePlace {
  /** Made where missing. */
  readonly cwd: string;
  readonly env: Readonly<Record<string, string>>;
  /** Words before the shell. */
  readonly wrapper: readonly string[];
}

/** `wait_for COMMAND…`: until it succeeds, for half a minute at most. */
const prelude = `exec 2>&1
wait_for() { local i; for i in $(seq 300); do eval "$*" >/dev/null 2>&1 && return; sleep 0.1; done; echo "never: $*"; exit 99; }`;

/** Runs a line of bash, for a minute at most. */
export async function runLine(line: string, { cwd, env, wrapper }: LinePlace): Promise<Shown> {
  mkdirSync(cwd, { recursive: true });
  const [program = '', ...words] = [...wrapper, 'timeout', '-s', 'KILL', '60'];
  const { status, stdout } = await run(program, [...words, 'bash', '-c', `${prelude}\n${line}`], {
    env,
    cwd,
    timeoutMs: 90_000,
  });
  const shown = stdout
    .replaceAll(/[ \t]+/g, ' ')
    .replaceAll(/ ?\r?\n ?/g, '\n')
    .trim();
  return { status, shown };
}

/** Asserts what a line has shown. */
export function shown(result: Shown, { shows, status = 0 }: Expected): void {
  if (typeof shows === 'string') assert.equal(result.shown, shows);
  else assert.match(result.shown, shows);
  assert.equal(result.status, status, result.shown);
}

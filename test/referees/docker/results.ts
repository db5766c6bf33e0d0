import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

type Outcome = 'passed' | 'failed' | `limit of the machine: ${string}`;

const results: Record<string, Outcome> = {};

/** Runs `check` and notes how it went. */
export async function recorded(
  title: string,
  check: () => Promise<void>,
  passed: Outcome = 'passed',
): Promise<void> {
  results[title] = 'failed';
  await check();
  results[title] = passed;
}

/** Where BERTH_TEST_RESULTS names a directory, writes `<client> on <subject>.json` into it: title of each check, and how it went. */
export function writeResults(client: string, subject: 'Berth' | 'containerd 2.3.4'): void {
  const dir = process.env.BERTH_TEST_RESULTS;
  if (dir === undefined) return;
  mkdirSync(dir, { recursive: true });
  const file = join(dir, `${client} on ${subject}.json`);
  writeFileSync(file, `${JSON.stringify({ client, subject, results }, undefined, 2)}\n`);
}

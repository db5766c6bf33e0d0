import { appendFileSync } from 'node:fs';

/** A reporter for node's test runner: appends "passed failed skipped" of the whole run to $BERTH_TEST_COUNTS. */
// biome-ignore lint/style/noDefaultExport: node's test runner takes a reporter as the default export
export default async function* count(
  source: AsyncIterable<{ type: string; data: Summary }>,
): AsyncGenerator<string> {
  const file = process.env.BERTH_TEST_COUNTS;
  for await (const { type, data } of source) {
    if (type !== 'test:summary' || data.file !== undefined || file === undefined || !data.counts) continue;
    const { passed, failed, cancelled, skipped, todo } = data.counts;
    appendFileSync(file, `${passed} ${failed + cancelled} ${skipped + todo}\n`);
  }
  yield '';
}

interface Summary {
  readonly file?: string;
  readonly counts?: { passed: number; failed: number; cancelled: number; skipped: number; todo: number };
}

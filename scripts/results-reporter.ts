import { appendFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { inspect } from 'node:util';

/** Bytes of one failure that are kept. */
const maxFailureBytes = 4000;

/**
 * A reporter for node's test runner. Appends to files in the directory $BERTH_TEST_RESULTS: to `counts`
 * "passed failed skipped" of the whole run, to `failures` each test that failed with its error.
 */
// biome-ignore lint/style/noDefaultExport: node's test runner takes a reporter as the default export
export default async function* results(source: AsyncIterable<TestEvent>): AsyncGenerator<string> {
  const dir = process.env.BERTH_TEST_RESULTS;
  if (dir === undefined) throw new Error('BERTH_TEST_RESULTS names no directory');
  for await (const { type, data } of source) {
    if (type === 'test:fail' && data.details?.error?.failureType !== 'subtestsFailed')
      appendFileSync(join(dir, 'failures'), failureOf(data));
    if (type !== 'test:summary' || data.file !== undefined || !data.counts) continue;
    const { passed, failed, cancelled, skipped, todo } = data.counts;
    appendFileSync(join(dir, 'counts'), `${passed} ${failed + cancelled} ${skipped + todo}\n`);
  }
  yield '';
}

function failureOf({ file = '', name = '', line, details }: TestEvent['data']): string {
  const error = details?.error?.cause ?? details?.error;
  const text = typeof error === 'string' ? error : inspect(error);
  const where = `${relative(process.cwd(), file)}${line === undefined ? '' : `:${line}`}`;
  return `FAIL ${where} ${name}\n${text.slice(0, maxFailureBytes).replaceAll(/^/gm, '  ')}\n`;
}

interface TestEvent {
  readonly type: string;
  readonly data: {
    readonly file?: string;
    readonly name?: string;
    readonly line?: number;
    readonly details?: { readonly error?: { readonly failureType?: string; readonly cause?: unknown } };
    readonly counts?: {
      passed: number;
      failed: number;
      cancelled: number;
      skipped: number;
      todo: number;
    };
  };
}

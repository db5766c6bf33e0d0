import { invalidArgument } from '../../errors/error.ts';
import type { TarEntry } from '../../layers/tar-entry.ts';
import { TarReader } from '../../layers/tar-reader.ts';

/** An archive as it goes by: each member begins, brings its bytes (valid until the next step) and ends. */
export type ArchiveStep =
  | { readonly kind: 'begin'; readonly entry: TarEntry }
  | { readonly kind: 'data'; readonly chunk: Buffer }
  | { readonly kind: 'end' };

/** Reads a tar at the pace of its consumer. @throws invalid_argument (malformed, cut off, a sparse member) */
export async function* readMembers(chunks: AsyncIterable<Buffer>): AsyncGenerator<ArchiveStep> {
  const steps: ArchiveStep[] = [];
  const reader = new TarReader({
    entry(entry) {
      if (entry.sparse !== undefined) throw invalidArgument('archive: holds a sparse file');
      steps.push({ kind: 'begin', entry });
    },
    data: (chunk) => void steps.push({ kind: 'data', chunk }),
    end: () => void steps.push({ kind: 'end' }),
  });
  for await (const chunk of chunks) {
    reader.push(chunk);
    yield* steps.splice(0);
  }
  reader.finish();
  yield* steps;
}

import { resourceExhausted } from '../errors/error.ts';
import type { FileWriter } from './file-writer.ts';
import type { TarEntry, TarSink } from './tar-entry.ts';

/** What writes members one after the other has in common: it counts them and holds the file whose bytes are coming. */
export abstract class MemberWriter implements TarSink, Disposable {
  protected file: FileWriter | undefined;
  #entries = 0;

  abstract entry(entry: TarEntry): void;

  /** `archive` names it in the error. @throws resource_exhausted */
  protected countMember(archive: string, maxEntries: number): void {
    if (++this.#entries > maxEntries)
      throw resourceExhausted(`${archive} has more than ${maxEntries} members`);
  }

  data(chunk: Buffer, offset: number): void {
    this.file?.write(chunk, offset);
  }

  end(): void {
    using file = this.file;
    this.file = undefined;
    file?.finish();
  }

  [Symbol.dispose](): void {
    this.file?.[Symbol.dispose]();
  }
}

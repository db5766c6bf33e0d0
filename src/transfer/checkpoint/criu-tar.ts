import { writeSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { failedPrecondition, invalidArgument } from '../../errors/error.ts';
import type { TarEntry, TarSink } from '../../layers/tar-entry.ts';
import { TarReader } from '../../layers/tar-reader.ts';
import { AT_FDCWD, O_CREAT, O_DIRECTORY, O_EXCL, O_RDONLY, O_WRONLY } from '../../sys/constants.ts';
import type { Fd } from '../../sys/fd.ts';
import { openAt } from '../../sys/files.ts';

const maxFiles = 20_000;
/** criu, runc and Berth call none otherwise; all lie side by side. */
const namePattern = /^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/;

/**
 * Writes criu's images out of their tar into a new directory. The archive may come from anywhere: nothing but regular
 * files with plain names is taken, so none can lead criu to a file of the host (CVE-2026-53489).
 * @throws already_exists (EEXIST of the directory as SysError), invalid_argument (the archive)
 */
export async function unpackCriuTar(tar: AsyncIterable<Uint8Array>, directory: string): Promise<void> {
  await mkdir(directory, { mode: 0o700 });
  using target = openAt(AT_FDCWD, directory, O_RDONLY | O_DIRECTORY);
  using sink = new CriuFiles(target);
  const reader = new TarReader(sink);
  for await (const chunk of tar) reader.push(Buffer.from(chunk.buffer, chunk.byteOffset, chunk.length));
  reader.finish();
}

class CriuFiles implements TarSink, Disposable {
  readonly #directory: Fd;
  #file: Fd | undefined;
  #count = 0;

  constructor(directory: Fd) {
    this.#directory = directory;
  }

  entry({ name, type }: TarEntry): void {
    if (type === 'directory' && /^(\.?\/)?$/.test(name)) return;
    const plain = name.replace(/^\.\//, '');
    if (type !== 'file' || !namePattern.test(plain))
      throw invalidArgument(`a checkpoint holds no ${type} ${JSON.stringify(name.slice(0, 100))}`);
    if (++this.#count > maxFiles) throw invalidArgument(`a checkpoint of more than ${maxFiles} files`);
    this.#file = openAt(this.#directory, plain, O_WRONLY | O_CREAT | O_EXCL, 0o600);
  }

  data(chunk: Buffer, offset: number): void {
    if (this.#file === undefined) throw failedPrecondition('a directory of a checkpoint has bytes');
    for (let done = 0; done < chunk.length; )
      done += writeSync(this.#file.fd, chunk, done, chunk.length - done, offset + done);
  }

  end(): void {
    this[Symbol.dispose]();
  }

  [Symbol.dispose](): void {
    this.#file?.close();
    this.#file = undefined;
  }
}

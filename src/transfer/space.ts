import { statfs } from 'node:fs/promises';
import { resourceExhausted } from '../errors/error.ts';

/** @throws resource_exhausted when the file system of `dir` has less room than `neededBytes` */
export async function checkSpace(dir: string, neededBytes: number, name: string): Promise<void> {
  const { bavail, bsize } = await statfs(dir, { bigint: true });
  const freeBytes = bavail * bsize;
  if (freeBytes >= BigInt(neededBytes)) return;
  throw resourceExhausted(
    `${name}: not enough disk space at ${dir}: ${mebibytes(BigInt(neededBytes))} needed, ${mebibytes(freeBytes)} free, ` +
      `${mebibytes(BigInt(neededBytes) - freeBytes)} missing`,
  );
}

const mebibytes = (bytes: bigint): string => `${(Number(bytes) / 1024 / 1024).toFixed(1)} MiB`;

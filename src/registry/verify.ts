import { createHash } from 'node:crypto';
import { failedPrecondition } from '../errors/error.ts';
import type { Descriptor } from '../oci/descriptor.ts';
import { algorithmOf, type Digest, hexOf } from '../oci/digest.ts';

/** Digest of bytes in the algorithm of `like` (sha256 when none is given). */
export function digestOf(bytes: Uint8Array, like?: Digest): Digest {
  const algorithm = like === undefined ? 'sha256' : algorithmOf(like);
  return `${algorithm}:${createHash(algorithm).update(bytes).digest('hex')}` as Digest;
}

/** @throws failed_precondition when size or digest of `bytes` are not what the descriptor says */
export function checkBytes(bytes: Uint8Array, descriptor: Pick<Descriptor, 'digest' | 'size'>): void {
  if (bytes.byteLength !== descriptor.size)
    throw failedPrecondition(
      `${descriptor.digest}: got ${bytes.byteLength} bytes, expected ${descriptor.size}`,
    );
  const got = digestOf(bytes, descriptor.digest);
  if (got !== descriptor.digest)
    throw failedPrecondition(`${descriptor.digest}: bytes have digest ${hexOf(got)}`);
}

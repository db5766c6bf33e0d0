const chunkBytes = 256 * 1024;
/** Larger buffers are passed on as they are. */
const smallBytes = 64 * 1024;

/** The same bytes in fewer pieces: small buffers are put together. */
export function* gathered(buffers: Iterable<Buffer>): Generator<Buffer> {
  let block = Buffer.allocUnsafeSlow(chunkBytes);
  let used = 0;
  for (const bytes of buffers) {
    if (used > 0 && (bytes.length > smallBytes || used + bytes.length > chunkBytes)) {
      yield block.subarray(0, used);
      block = Buffer.allocUnsafeSlow(chunkBytes);
      used = 0;
    }
    if (bytes.length > smallBytes) yield bytes;
    else used += bytes.copy(block, used);
  }
  if (used > 0) yield block.subarray(0, used);
}

const outputBytes = 1 << 20;

/**
 * Pieces of up to 1 MiB that `fill` puts into two buffers by turns: the next is made while the caller works on one, which is
 * valid until the next is asked for. An empty piece is the end.
 */
export async function* readAhead(fill: (output: Buffer) => Promise<Buffer>): AsyncGenerator<Buffer> {
  const outputs = [Buffer.allocUnsafeSlow(outputBytes), Buffer.allocUnsafeSlow(outputBytes)] as const;
  let next = fill(outputs[0]);
  try {
    for (let turn = 1; ; turn++) {
      const piece = await next;
      if (piece.length === 0) return;
      next = fill(outputs[turn % 2 === 0 ? 0 : 1]);
      yield piece;
    }
  } finally {
    // A caller that stops early must not leave a thread writing.
    await next.catch(() => {});
  }
}

/** The next piece that holds anything; undefined at the end. */
export async function nextPiece(source: AsyncIterator<Buffer>): Promise<Buffer | undefined> {
  for (;;) {
    const { done, value } = await source.next();
    if (done === true) return undefined;
    if (value.length > 0) return value;
  }
}

const outputBytes = 1 << 20;
/** What stays in a processor's own cache from when it is inflated until it is hashed and written. */
const cachedBytes = 256 * 1024;

/** Whether there is a processor to make the next piece while the caller works on this one. Asked before each. */
export type Spare = () => boolean;

/** Puts bytes into `output`, on another thread where `elsewhere`. @returns those it put there, none at the end */
export type Fill = (output: Buffer, elsewhere: boolean) => Promise<Buffer>;

/**
 * The pieces that `fill` makes, each valid until the next is asked for. While there is a processor to spare they are of up to
 * 1 MiB, in two buffers by turns, and the next is made while the caller works on one. Else they are made one after the other
 * and small. An empty piece is the end.
 */
export async function* readAhead(fill: Fill, spare: Spare): AsyncGenerator<Buffer> {
  const outputs = [Buffer.allocUnsafeSlow(outputBytes), Buffer.allocUnsafeSlow(outputBytes)] as const;
  let ahead: Promise<Buffer> | undefined;
  try {
    for (let turn = 0; ; turn++) {
      const piece = await (ahead ?? fill(outputs[turn % 2 === 0 ? 0 : 1].subarray(0, cachedBytes), false));
      if (piece.length === 0) return;
      ahead = spare() ? fill(outputs[turn % 2 === 0 ? 1 : 0], true) : undefined;
      ahead?.catch(() => {}); // who asks for the piece meets it
      yield piece;
    }
  } finally {
    // A caller that stops early must not leave a thread writing.
    await ahead?.catch(() => {});
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

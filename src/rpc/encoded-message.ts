/** A message that is encoded already, in parts that follow each other; an answer where a service has its bytes at hand. */
export class EncodedMessage {
  readonly parts: readonly Uint8Array[];
  readonly length: number;

  constructor(parts: readonly Uint8Array[]) {
    this.parts = parts;
    this.length = parts.reduce((sum, { length }) => sum + length, 0);
  }

  /** All of it behind `room` bytes that are left to the caller. */
  behind(room: number): Buffer {
    const out = Buffer.allocUnsafe(room + this.length);
    let at = room;
    for (const part of this.parts) {
      out.set(part, at);
      at += part.length;
    }
    return out;
  }
}

import { constants } from 'node:os';
import type { ReadStream, WriteStream } from 'node:tty';

/**
 * Puts the terminal in raw mode and back: when disposed, and also when the process ends in any way that JavaScript
 * sees (exit, uncaught error, a signal that `main` turns into an exit).
 */
export function rawTerminal(input: ReadStream): Disposable {
  let raw = true;
  const restore = () => {
    if (raw) input.setRawMode(false);
    raw = false;
  };
  input.setRawMode(true);
  process.on('exit', restore);
  return {
    [Symbol.dispose]() {
      process.off('exit', restore);
      restore();
    },
  };
}

const fatal = ['SIGHUP', 'SIGINT', 'SIGQUIT', 'SIGTERM'] as const;

/** Ends this program by `process.exit` where a signal would end it at once, so that the terminal is restored first. */
export function exitOnSignals(): Disposable {
  const die = (name: NodeJS.Signals) => process.exit(128 + constants.signals[name]);
  for (const name of fatal) process.on(name, die);
  return {
    [Symbol.dispose]() {
      for (const name of fatal) process.off(name, die);
    },
  };
}

/** Calls `resize` with columns and rows now and whenever the terminal changes. */
export function followSize(output: WriteStream, resize: (columns: number, rows: number) => void): Disposable {
  const tell = () => {
    if (output.columns > 0 && output.rows > 0) resize(output.columns, output.rows);
  };
  tell();
  output.on('resize', tell);
  return { [Symbol.dispose]: () => void output.off('resize', tell) };
}

const lineFeed = 0x0a;
const verticalTab = 0x0b;
const carriageReturn = 0x0d;

/**
 * Node's raw mode leaves ONLCR on, so a bare line feed, which full-screen programs send to go straight down, would
 * also go to the left margin. A vertical tab does what they mean (VT100, ECMA-48 terminals, the Linux console).
 */
export function keepLineFeeds(): (chunk: Uint8Array) => Uint8Array {
  let before = 0;
  return (chunk) =>
    chunk.map((byte) => {
      const bare = byte === lineFeed && before !== carriageReturn;
      before = byte;
      return bare ? verticalTab : byte;
    });
}

/** The bytes of `ctrl-p,ctrl-q`, `ctrl-x,x`, …; undefined when it is not understood. */
export function findDetachKeys(text: string): number[] | undefined {
  const keys = text.split(',').map((key) => {
    const match = /^ctrl-([a-z@[\\\]^_])$/.exec(key)?.[1];
    if (match !== undefined) return match === '@' ? 0 : match.charCodeAt(0) & 0x1f;
    return key.length === 1 ? key.charCodeAt(0) : undefined;
  });
  return keys.every((key) => key !== undefined) ? (keys as number[]) : undefined;
}

/** Finds the detach keys in what is typed. Keys that only began like them are passed on. */
export class DetachFilter {
  readonly #keys: readonly number[];
  #matched = 0;

  constructor(keys: readonly number[]) {
    this.#keys = keys;
  }

  /** What to pass on of `typed`, and whether the keys were complete. */
  filter(typed: Uint8Array): { pass: Uint8Array; detached: boolean } {
    const pass: number[] = [];
    for (const byte of typed) {
      if (byte === this.#keys[this.#matched]) {
        this.#matched++;
        if (this.#matched === this.#keys.length) return { pass: Uint8Array.from(pass), detached: true };
        continue;
      }
      pass.push(...this.#keys.slice(0, this.#matched));
      this.#matched = byte === this.#keys[0] ? 1 : 0;
      if (this.#matched === 0) pass.push(byte);
    }
    return { pass: Uint8Array.from(pass), detached: false };
  }
}

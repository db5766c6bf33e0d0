import { randomUUID } from 'node:crypto';
import {
  closeSync,
  constants,
  fstatSync,
  openSync,
  readFileSync,
  renameSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import type { ShimEvent } from '../rpc/ttrpc-shim.ts';

/** First line: who this journal is, and the number of the last event that is not in it any more. */
interface Head {
  readonly journal: string;
  readonly acknowledged: number;
}

type Line = Head | { readonly acknowledged: number } | ShimEvent;

/** Written anew once it is so long and everything in it is acknowledged. */
const longBytes = 256 * 1024;

/** Events on disk, one a line, so that a shim that is killed has forgotten none and tells none twice. */
export class EventJournal implements Disposable {
  /** Named anew with each state directory; numbers count within one. */
  readonly id: string;
  /** What an earlier shim left unacknowledged, oldest first. */
  readonly left: readonly ShimEvent[];
  /** Of everything that ever was in it. */
  readonly lastNumber: number;
  readonly #path: string;
  #fd: number;
  #bytes: number;

  constructor(path: string) {
    const lines = readLines(path);
    const events = lines.filter((line): line is ShimEvent => 'number' in line);
    const done = lines.flatMap((line) => ('acknowledged' in line ? [line.acknowledged] : []));
    const acknowledged = Math.max(0, ...done);
    const head = lines.find((line): line is Head => 'journal' in line);
    this.id = head?.journal ?? randomUUID();
    this.lastNumber = Math.max(acknowledged, events.at(-1)?.number ?? 0);
    this.left = events.filter(({ number }) => number > acknowledged);
    this.#path = path;
    [this.#fd, this.#bytes] = this.#begin(acknowledged, this.left);
  }

  append(event: ShimEvent): void {
    this.#write(event);
  }

  /** `isEmpty`: nothing is left unacknowledged. */
  acknowledge(number: number, isEmpty: boolean): void {
    if (isEmpty && this.#bytes >= longBytes) {
      closeSync(this.#fd);
      [this.#fd, this.#bytes] = this.#begin(number, []);
    } else this.#write({ acknowledged: number });
  }

  /** On a full disk events are kept in memory only. */
  #write(line: Line): void {
    try {
      this.#bytes += writeSync(this.#fd, `${JSON.stringify(line)}\n`);
    } catch {
      this.#bytes = longBytes;
    }
  }

  /** Replaces the file as a whole. */
  #begin(acknowledged: number, events: readonly ShimEvent[]): [fd: number, bytes: number] {
    const lines: Line[] = [{ journal: this.id, acknowledged }, ...events];
    writeFileSync(`${this.#path}.new`, lines.map((line) => `${JSON.stringify(line)}\n`).join(''), {
      mode: 0o600,
    });
    renameSync(`${this.#path}.new`, this.#path);
    const fd = openSync(this.#path, constants.O_WRONLY | constants.O_APPEND);
    return [fd, fstatSync(fd).size];
  }

  [Symbol.dispose](): void {
    closeSync(this.#fd);
  }
}

/** A last line that a kill cut off was never told, and its event is made again. */
function readLines(path: string): Line[] {
  try {
    return readFileSync(path, 'utf8').split('\n').flatMap(parse);
  } catch {
    return [];
  }
}

function parse(text: string): Line[] {
  try {
    return text === '' ? [] : [JSON.parse(text) as Line];
  } catch {
    return [];
  }
}

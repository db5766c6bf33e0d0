import { randomUUID } from 'node:crypto';
import type { Fd, FdLike } from '../sys/fd.ts';
import { type RightsMessage, receiveMessage, sendMessage } from '../sys/rights.ts';

/** What a message in the queue is: names of its descriptors, in order. Of two with one key the higher serial counts. */
export interface Label {
  readonly key: string;
  readonly serial: number;
  readonly names: readonly string[];
}

/** Descriptors on their way between two ends of a socket: they live as long as somebody has the ends open. */
export class FdQueue implements Disposable {
  /** To send by, and to receive from. */
  readonly ends: readonly [Fd, Fd];

  constructor(ends: readonly [Fd, Fd]) {
    this.ends = ends;
  }

  /** @throws SysError (EAGAIN: full) */
  push(label: Label, fds: readonly FdLike[]): void {
    sendMessage(this.ends[0], Buffer.from(JSON.stringify(label)), fds);
  }

  /**
   * Looks at every message once and drops those that `keep` refuses. Each is put at the end again before it is taken
   * from the front, so that whoever is killed in the middle leaves one twice, and none out. `keep` may duplicate
   * descriptors; they are closed after it.
   */
  rotate(keep: (label: Label, fds: readonly Fd[]) => boolean): void {
    const mark: Label = { key: '', serial: 0, names: [randomUUID()] };
    this.push(mark, []);
    for (;;) {
      const head = receiveMessage(this.ends[1], true);
      const label = labelOf(head);
      if (head === undefined || label === undefined) return;
      // Without a key it is the mark of a round, perhaps of one that was never finished.
      if (label.key !== '' && keep(label, head.fds)) this.push(label, head.fds);
      closeAll(head);
      closeAll(receiveMessage(this.ends[1]));
      if (label.names[0] === mark.names[0]) return;
    }
  }

  [Symbol.dispose](): void {
    for (const end of this.ends) end.close();
  }
}

function closeAll(message: RightsMessage | undefined): void {
  for (const fd of message?.fds ?? []) fd.close();
}

const labelOf = (message: RightsMessage | undefined): Label | undefined =>
  message === undefined || message.body.length === 0
    ? undefined
    : (JSON.parse(message.body.toString()) as Label);

import { setTimeout as sleep } from 'node:timers/promises';
import { abortable } from '../async/abortable.ts';
import { aborted, notFound } from '../errors/error.ts';
import { RunningTransfer, type Subject, type TransferState } from './running-transfer.ts';

/** A watcher hears of a transfer at most this often, and at its end. */
const everyMs = 200;

/** A transfer under way, to whoever carries it out. */
export interface Tracked {
  readonly transfer: RunningTransfer;
  /** Fires when somebody cancels the transfer by its id. */
  readonly signal: AbortSignal;
  /** The transfer's state has changed. */
  changed(): void;
  /** The transfer is over, one way or the other. */
  ended(failure?: unknown): void;
}

/** Which transfers: of one namespace ('' = all), and maybe one id. */
export interface TransferFilter {
  readonly namespace: string;
  readonly id?: string | undefined;
}

interface Watcher {
  readonly filter: TransferFilter;
  readonly dirty: Set<RunningTransfer>;
  wake(): void;
}

/** Every transfer of the daemon that is under way, whichever client began it. */
export class RunningTransfers {
  readonly #running = new Map<RunningTransfer, AbortController>();
  readonly #watchers = new Set<Watcher>();
  #count = 0;

  start(namespace: string, subject: Subject): Tracked {
    const transfer = new RunningTransfer(`${subject.verb}-${++this.#count}`, namespace, subject);
    const stop = new AbortController();
    this.#running.set(transfer, stop);
    this.#tell(transfer);
    return {
      transfer,
      signal: stop.signal,
      changed: () => this.#tell(transfer),
      ended: (failure) => {
        this.#running.delete(transfer);
        transfer.end(failure);
        this.#tell(transfer);
      },
    };
  }

  list(filter: TransferFilter): TransferState[] {
    return this.#find(filter).map((transfer) => transfer.state());
  }

  /** Cancels a transfer, whoever began it. @throws not_found */
  cancel(namespace: string, id: string): void {
    const [found] = this.#find({ namespace, id });
    if (found === undefined) throw notFound(`transfer ${id}: not found`);
    this.#running.get(found)?.abort(aborted(`${found.subject.verb} of ${found.subject.name} was cancelled`));
  }

  /**
   * The state of each transfer that is there, and from then on of those that change, new ones among them. With an id it
   * ends when that transfer has. @throws not_found (id), the signal's reason
   */
  async *watch(filter: TransferFilter, signal: AbortSignal): AsyncGenerator<TransferState, void, void> {
    const found = this.#find(filter);
    if (filter.id !== undefined && found.length === 0) throw notFound(`transfer ${filter.id}: not found`);
    let waiting = Promise.withResolvers<void>();
    const watcher = { filter, dirty: new Set(found), wake: () => waiting.resolve() };
    this.#watchers.add(watcher);
    try {
      for (;;) {
        const states = [...watcher.dirty].map((transfer) => transfer.state());
        watcher.dirty.clear();
        waiting = Promise.withResolvers();
        yield* states;
        if (filter.id !== undefined && states.some(({ status }) => status !== 'running')) return;
        await abortable(waiting.promise, signal);
        await sleep(everyMs, undefined, { signal });
      }
    } finally {
      this.#watchers.delete(watcher);
    }
  }

  #find(filter: TransferFilter): RunningTransfer[] {
    return [...this.#running.keys()].filter((transfer) => matches(filter, transfer));
  }

  #tell(transfer: RunningTransfer): void {
    for (const { filter, dirty, wake } of this.#watchers)
      if (matches(filter, transfer)) {
        dirty.add(transfer);
        wake();
      }
  }
}

const matches = ({ namespace, id }: TransferFilter, transfer: RunningTransfer): boolean =>
  (namespace === '' || transfer.namespace === namespace) && (id === undefined || transfer.id === id);

import type { RawMethod, RawService } from '../rpc/ttrpc-server.ts';

/**
 * Ends a shim that nobody needs: one that another daemon started, has no task, and was not called for `idleMs`. A call
 * that is under way, or comes, puts it off; so a launcher that got an answer has that long to be followed by its daemon.
 */
export class IdleExit {
  readonly #idleMs: number;
  readonly #isNeeded: () => boolean;
  readonly #end: () => void;
  #calls = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(idleMs: number, isNeeded: () => boolean, end: () => void) {
    this.#idleMs = idleMs;
    this.#isNeeded = isNeeded;
    this.#end = end;
    this.#arm();
  }

  /** The service, its calls counted. */
  counting({ name, methods }: RawService): RawService {
    const counted = [...methods].map(([method, run]): [string, RawMethod] => [
      method,
      async (payload, ctx) => {
        this.#calls++;
        try {
          return await run(payload, ctx);
        } finally {
          this.#calls--;
          this.#arm();
        }
      },
    ]);
    return { name, methods: new Map(counted) };
  }

  #arm(): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#check(), this.#idleMs);
  }

  #check(): void {
    if (this.#calls > 0 || this.#isNeeded()) this.#arm();
    else this.#end();
  }
}

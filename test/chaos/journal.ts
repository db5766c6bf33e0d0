/** What the outside knows of a thing: `unknown` from the moment a call is made until its answer, or for ever without one. */
export type Known = 'present' | 'absent' | 'unknown';

export interface Runner {
  readonly namespace: string;
  /** Container id, once told. */
  readonly id: string;
  readonly pid: number;
  /** Undefined: runs for ever and prints 0, 1, 2, … */
  readonly exitCode?: number;
  /** Its shim died while it ran: where it ended meanwhile, nobody can know how, and 255 is said. */
  readonly mayBeUnknown?: boolean;
  /** Where what it prints goes. */
  readonly printsTo: 'log' | 'fifo';
}

/** Everything the clients were told, so that it can be held against what is there after a crash. Keys: `namespace name`. */
export class Journal {
  readonly images = new Map<string, Known>();
  readonly leases = new Map<string, Known>();
  /** Detached containers that were acknowledged as started. */
  readonly runners = new Map<string, Runner>();
  /** Acknowledged as removed. */
  readonly removed = new Set<string>();
  /** Wrong answers: a call that succeeded and should not have, or said something false. */
  readonly lies: string[] = [];
  shimDeaths = 0;
  readonly done = new Map<string, number>();
  readonly failed = new Map<string, number>();

  /** A shim was killed. */
  shimDied(): void {
    for (const [id, runner] of this.runners)
      if (runner.exitCode !== undefined) this.runners.set(id, { ...runner, mayBeUnknown: true });
    this.shimDeaths++;
  }

  count(operation: string, ok: boolean): void {
    const map = ok ? this.done : this.failed;
    map.set(operation, (map.get(operation) ?? 0) + 1);
  }

  /** Runs a change of a register: `unknown` while under way and when it fails, `then` once acknowledged. */
  async change(
    register: Map<string, Known>,
    key: string,
    then: Known,
    call: () => Promise<boolean>,
  ): Promise<boolean> {
    register.set(key, 'unknown');
    const ok = await call();
    if (ok) register.set(key, then);
    return ok;
  }
}

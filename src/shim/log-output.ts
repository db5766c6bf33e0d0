import { closeSync, rmSync } from 'node:fs';
import { type HeldFds, heldOf } from './fd-store.ts';
import { openAppend } from './fifo.ts';
import type { LogStreamRequest, LogTarget } from './log-request.ts';
import { OwnFifo } from './own-fifo.ts';
import type { Output, StdioPlace } from './stdio.ts';

/** Log files of one process, by path, so that stdout and stderr may share one. */
export class ProcessLogs {
  readonly #place: StdioPlace;
  readonly #streams = new Map<string, { target: LogTarget; streams: LogStreamRequest[] }>();
  /** By the name that they are kept under. */
  readonly #spent = new Map<string, OwnFifo>();

  constructor(place: StdioPlace) {
    this.#place = place;
  }

  /** A stream that goes to that log. @throws invalid_argument (the file cannot be opened) */
  add(name: 'stdout' | 'stderr', target: LogTarget): Output {
    closeSync(openAppend(name, target.path));
    const fifo = new OwnFifo(`${this.#place.prefix}${name}`, name, this.#place.found);
    const spent = new OwnFifo(`${fifo.path}.spent`, `${name}-spent`, this.#place.found);
    spent.started();
    this.#spent.set(`${name}-spent`, spent);
    const log = this.#streams.get(target.path) ?? { target, streams: [] };
    log.streams.push({ name, fifo: fifo.path, spent: spent.path });
    this.#streams.set(target.path, log);
    return new LogOutput(fifo, this.#keyOf(target.path), this.#place);
  }

  /** Has them written from now on. @throws invalid_argument */
  async open(): Promise<void> {
    const { logs, prefix } = this.#place;
    for (const [path, { target, streams }] of this.#streams) {
      const state = `${prefix}${streams[0]?.name ?? ''}.log-state`;
      await logs.open({ ...target, key: this.#keyOf(path), state, streams });
    }
  }

  get isEmpty(): boolean {
    return this.#streams.size === 0;
  }

  /** What must stay open when the shim dies. */
  held(): HeldFds {
    return heldOf(Object.fromEntries([...this.#spent].map(([name, { held }]) => [name, held])));
  }

  async reopen(): Promise<void> {
    for (const path of this.#streams.keys()) await this.#place.logs.reopen(this.#keyOf(path));
  }

  close(): void {
    for (const [path, { streams }] of this.#streams) {
      this.#place.logs.close(this.#keyOf(path));
      rmSync(`${this.#place.prefix}${streams[0]?.name ?? ''}.log-state`, { force: true });
    }
    for (const spent of this.#spent.values()) spent[Symbol.dispose]();
  }

  #keyOf = (path: string): string => `${this.#place.prefix} ${path}`;
}

class LogOutput implements Output {
  readonly containerFd: number;
  readonly #fifo: OwnFifo;
  readonly #key: string;
  readonly #place: StdioPlace;

  constructor(fifo: OwnFifo, key: string, place: StdioPlace) {
    this.#fifo = fifo;
    this.#key = key;
    this.#place = place;
    this.containerFd = fifo.containerFd;
  }

  get held(): number | undefined {
    return this.#fifo.held;
  }

  get drained(): Promise<void> {
    return this.#place.logs.drained(this.#key);
  }

  started(): void {
    this.#fifo.started();
  }

  ended(): void {
    this.started();
  }

  close(): void {
    this.#fifo[Symbol.dispose]();
  }
}

import { rmSync } from 'node:fs';
import type { Log } from '../async/context.ts';
import { type RawService, TtrpcServer } from '../rpc/ttrpc-server.ts';
import type { FdStore } from './fd-store.ts';
import { IdleExit } from './idle-exit.ts';
import { launchedSocketPath } from './launcher/state-dir.ts';
import type { TaskTable } from './task-table.ts';

/** A shim without a task ends when it was not called for so long. */
const idleMs = 5_000;

/** What another daemon's shim does beside the task API: a socket for each namespace, and an end when it is idle. */
export class AnotherDaemon {
  readonly #stateDir: string;
  readonly #log: Log;
  readonly #idle: IdleExit;
  readonly #paths = new Map<string, Promise<string>>();
  #services: readonly RawService[] = [];

  constructor(around: {
    stateDir: string;
    tasks: TaskTable;
    socketPath: string;
    log: Log;
    fds: FdStore;
  }) {
    this.#stateDir = around.stateDir;
    this.#log = around.log;
    const isNeeded = () => around.tasks.size > 0;
    this.#idle = new IdleExit(idleMs, isNeeded, () => {
      for (const path of [around.socketPath, ...this.#namespacePaths()]) rmSync(path, { force: true });
      around.fds.stop();
      process.exit(0);
    });
  }

  /** The services, their calls counted; also those that {@link serve} offers. */
  counted(services: readonly RawService[]): readonly RawService[] {
    this.#services = services.map((service) => this.#idle.counting(service));
    return this.#services;
  }

  /** The socket on which calls that name no namespace mean this one, made when it is first asked for. */
  serve(namespace: string): Promise<string> {
    const path = this.#paths.get(namespace) ?? this.#listen(namespace);
    this.#paths.set(namespace, path);
    return path;
  }

  async #listen(namespace: string): Promise<string> {
    const path = launchedSocketPath(this.#stateDir, namespace);
    const server = new TtrpcServer({ services: this.#services, log: this.#log, defaultNamespace: namespace });
    // The lock is held, so a socket that is there belongs to a shim that is dead.
    rmSync(path, { force: true });
    await server.listen(path);
    return path;
  }

  #namespacePaths(): string[] {
    return [...this.#paths.keys()].map((namespace) => launchedSocketPath(this.#stateDir, namespace));
  }
}

import { existsSync } from 'node:fs';
import type { Log } from '../../async/context.ts';
import { withDeadline } from '../../async/deadline.ts';
import { never } from '../../async/never.ts';
import { messageOf } from '../../errors/error.ts';
import type { Bundles } from '../bundle.ts';
import type { ForeignTasks } from '../foreign/foreign-tasks.ts';
import { TaskCgroups } from './cgroups.ts';
import { type Finding, keyOf, type TaskKey } from './finding.ts';
import { hasOwnRecord, oddTask } from './own-tasks.ts';
import { checkRuntimeState } from './runtime-state.ts';
import { checkMounts, checkProcesses } from './strays.ts';

/** Everything that a pass compares. */
export interface ReconcileParts {
  readonly stateDir: string;
  readonly environment: Readonly<Record<string, string>>;
  readonly bundles: Bundles;
  readonly foreign: ForeignTasks;
  /** Tasks of all namespaces as berth-shim knows them; undefined where none is running. */
  readonly listOwn: (signal: AbortSignal) => Promise<readonly TaskKey[] | undefined>;
  readonly log: Log;
}

const shimMs = 5_000;
/** A bundle that is locked for longer is not judged in this pass. */
const busyMs = 1_000;

/**
 * Compares shims, processes, cgroups, mounts, bundles and records; repairs what is certain, leaves alone what is in
 * doubt and says so. Two passes never run at once.
 */
export class Reconciler {
  readonly #parts: ReconcileParts;
  readonly #cgroups = new TaskCgroups();
  #told = new Set<string>();
  #last: Promise<readonly Finding[]> = Promise.resolve([]);

  constructor(parts: ReconcileParts) {
    this.#parts = parts;
  }

  /** One pass. Never throws. @returns what did not agree; nothing is how it should be */
  pass(): Promise<readonly Finding[]> {
    this.#last = this.#last.then(() => this.#pass());
    return this.#last;
  }

  async #pass(): Promise<readonly Finding[]> {
    const { stateDir, bundles, foreign, log, environment } = this.#parts;
    const hasBundle = (key: string) => existsSync(bundles.pathOf(key));
    const steps: readonly (() => Finding[] | Promise<Finding[]>)[] = [
      () => bundles.sweep(log),
      () => foreign.retry(),
      () => this.#ownTasks(hasBundle),
      () => checkRuntimeState(stateDir, environment, hasBundle),
      () => checkMounts(stateDir),
      () => checkProcesses(stateDir, foreign.size > 0),
      async () => this.#cgroups.check(await this.#bundles()),
    ];
    const found: Finding[] = [];
    for (const step of steps)
      try {
        found.push(...(await step()));
      } catch (error) {
        log.error({ error: messageOf(error) }, 'a step of reconciling failed');
      }
    this.#tell(found);
    return found;
  }

  /**
   * berth-shim's list against the records in the bundles. A record that the shim does not know is a task that it could
   * not adopt; a task whose bundle is gone cannot be adopted by the next shim.
   */
  async #ownTasks(hasBundle: (key: string) => boolean): Promise<Finding[]> {
    const all = await this.#bundles();
    try {
      const known = await this.#listOwn();
      if (known === undefined) return [];
      const bare = [...known].filter((key) => !hasBundle(key));
      const unknown = [...all].filter(([key, { path }]) => !known.has(key) && hasOwnRecord(path));
      const found = bare.map((key) => oddTask(key, 'berth-shim has it, its bundle is gone'));
      for (const [key, task] of unknown) found.push(...(await this.#unadopted(key, task)));
      return found;
    } catch (error) {
      return [{ kind: 'shim', what: 'berth-shim', why: messageOf(error), repaired: false }];
    }
  }

  /** Asked again when nobody is at work on the task: one that is being made has a record before the shim lists it. */
  async #unadopted(
    key: string,
    { namespace, id, path }: TaskKey & { readonly path: string },
  ): Promise<Finding[]> {
    try {
      using _lock = await this.#parts.bundles.lock(namespace, id, AbortSignal.timeout(busyMs));
      if (!hasOwnRecord(path) || (await this.#listOwn())?.has(key) !== false) return [];
      return [oddTask(key, 'berth-shim could not take it over')];
    } catch {
      return [];
    }
  }

  async #listOwn(): Promise<ReadonlySet<string> | undefined> {
    const listed = await withDeadline(never, shimMs, 'list of berth-shim', this.#parts.listOwn);
    return listed && new Set(listed.map(keyOf));
  }

  async #bundles(): Promise<Map<string, TaskKey & { readonly path: string }>> {
    const { bundles } = this.#parts;
    const all = new Map<string, TaskKey & { readonly path: string }>();
    for await (const task of bundles.all())
      all.set(keyOf(task), { ...task, path: bundles.pathOf(keyOf(task)) });
    return all;
  }

  /** A leak that stays is told once. */
  #tell(found: readonly Finding[]): void {
    const { log } = this.#parts;
    const leaks = new Set<string>();
    for (const finding of found) {
      const { repaired, ...fields } = finding;
      const name = `${fields.kind} ${fields.what}`;
      if (repaired) log.info(fields, 'reconciled');
      else if (!this.#told.has(name)) log.warn(fields, 'left alone, because it is in doubt');
      if (!repaired) leaks.add(name);
    }
    this.#told = leaks;
  }
}

import { isDeepStrictEqual } from 'node:util';
import type { Log } from '../async/context.ts';
import { KeyedLock } from '../async/keyed-lock.ts';
import { messageOf } from '../errors/error.ts';
import type { Config } from './config/config.ts';
import type { Deprecation } from './config/deprecations.ts';
import { type Change, changesBetween, changeText } from './config/diff.ts';
import type { LoadedConfig } from './config/load.ts';
import { renderConfig } from './config/render.ts';

/** A part of the daemon that takes new values of some settings over while it runs. Others read the configuration each time. */
export interface LivePart {
  readonly fields: readonly (keyof Config)[];
  /** Makes the values hold, or throws and leaves those before. */
  apply(config: Config): Promise<void> | void;
}

/** What reading the configuration again came to. */
export interface Reloaded {
  readonly changes: readonly (Change & { readonly needsRestart: boolean })[];
  /** Keys without a meaning, as `file:line: key`. */
  readonly warnings: readonly string[];
}

/** The configuration that the daemon runs with, and how it changes. */
export class RunningConfig {
  readonly #read: () => LoadedConfig;
  readonly #log: Log;
  readonly #lock = new KeyedLock();
  #parts: readonly LivePart[] = [];
  #current: Config;
  #loaded: LoadedConfig;
  #loadedAt = new Date();

  constructor(read: () => LoadedConfig, log: (config: Config) => Log) {
    this.#read = read;
    this.#loaded = read();
    this.#current = this.#loaded.config;
    this.#log = log(this.#current);
    this.#warn(this.#loaded);
  }

  get current(): Config {
    return this.#current;
  }

  /** What is in use and on its way out, by the files as they were read last. */
  get deprecations(): (Deprecation & { readonly lastOccurrence: Date })[] {
    return this.#loaded.deprecations.map((one) => ({ ...one, lastOccurrence: this.#loadedAt }));
  }

  /** As a file that reads back to it. */
  get text(): string {
    return renderConfig(this.#current, this.#loaded.unread);
  }

  /** Who takes over what; said once, when everything is there. */
  set parts(parts: readonly LivePart[]) {
    this.#parts = parts;
  }

  /**
   * Reads the files again and takes over what can change while running: all of it, or, when anything fails, nothing.
   * `dryRun` only says what would change. One at a time.
   * @throws invalid_argument, not_found (files), what a part throws
   */
  async reload(signal: AbortSignal, dryRun = false): Promise<Reloaded> {
    using _lock = await this.#lock.acquire('reload', signal);
    const loaded = this.#read();
    const changes = changesBetween(this.#current, loaded.config);
    const result = {
      changes: changes.map((change) => ({ ...change, needsRestart: !change.key.isLive })),
      warnings: loaded.warnings,
    };
    if (dryRun) return result;
    const next = takeOver(this.#current, changes, loaded.config);
    await this.#apply(next);
    this.#current = next;
    this.#loaded = loaded;
    this.#loadedAt = new Date();
    this.#tell(result);
    this.#warn(loaded);
    return result;
  }

  /** Changes settings until the next reload, as {@link reload} does. */
  async change(signal: AbortSignal, changed: Partial<Config>): Promise<void> {
    using _lock = await this.#lock.acquire('reload', signal);
    const next = { ...this.#current, ...changed };
    await this.#apply(next);
    this.#current = next;
  }

  async #apply(next: Config): Promise<void> {
    const before = this.#current;
    const touched = this.#parts.filter(({ fields }) =>
      fields.some((field) => !isDeepStrictEqual(before[field], next[field])),
    );
    const done: LivePart[] = [];
    try {
      for (const part of touched) {
        await part.apply(next);
        done.push(part);
      }
    } catch (error) {
      for (const part of done.reverse()) await this.#rollBack(part, before);
      throw error;
    }
  }

  async #rollBack(part: LivePart, before: Config): Promise<void> {
    try {
      await part.apply(before);
    } catch (error) {
      this.#log.error(
        { fields: part.fields, error: messageOf(error) },
        'an earlier setting could not be brought back',
      );
    }
  }

  #tell({ changes }: Reloaded): void {
    for (const one of changes) {
      const change = changeText(one);
      if (one.needsRestart) this.#log.warn({ change }, 'configuration change needs a restart');
      else this.#log.info({ change }, 'configuration changed');
    }
  }

  #warn({ warnings, deprecations }: LoadedConfig): void {
    for (const key of warnings) this.#log.warn({ key }, 'configuration key has no meaning here');
    for (const { id, message } of deprecations)
      this.#log.warn({ id, message }, 'configuration key is deprecated');
  }
}

const takeOver = (before: Config, changes: readonly Change[], after: Config): Config =>
  changes
    .filter(({ key }) => key.isLive)
    .reduce((config, { key }) => key.apply(config, key.check(key.valueOf(after)) as never), before);

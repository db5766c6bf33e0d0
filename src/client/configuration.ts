import { Configuration as ConfigurationService } from '../gen/berth/v1/configuration_pb.ts';
import type { CallOptions, Connection } from './connection.ts';

/** A setting that differs between the files and what the daemon ran with. */
export interface ConfigurationChange {
  /** Dotted, as it stands in a file of the latest version. */
  readonly key: string;
  /** JSON. */
  readonly before: string;
  readonly after: string;
  /** It waits for a restart of the daemon. */
  readonly needsRestart: boolean;
}

/** What reading the configuration again came to. */
export interface ReloadResult {
  readonly changes: readonly ConfigurationChange[];
  /** Keys that mean nothing to Berth, as `file:line: key`. */
  readonly warnings: readonly string[];
}

/** The daemon's configuration. */
export interface Configuration {
  /** What is in use, as a TOML file that reads back to it. */
  get(options?: CallOptions): Promise<string>;
  /**
   * Makes the daemon read its files again and take over what can change while it runs: all of that, or nothing when
   * anything fails. `dryRun` only says what would change.
   * @throws invalid_argument naming file and line, not_found, what the system said
   */
  reload(options?: CallOptions & { readonly dryRun?: boolean }): Promise<ReloadResult>;
}

/** The configuration of the daemon of the connection. */
export function remoteConfiguration(connection: Connection): Configuration {
  const service = connection.service(ConfigurationService);
  return {
    async get(options) {
      return (await service.getConfiguration({}, connection.unary(options))).toml;
    },
    async reload({ dryRun = false, ...options } = {}) {
      const { changes, warnings } = await service.reload({ dryRun }, connection.slow(options));
      const fromWire = ({ key, before, after, needsRestart }: (typeof changes)[number]) => ({
        key,
        before,
        after,
        needsRestart,
      });
      return { changes: changes.map(fromWire), warnings };
    },
  };
}

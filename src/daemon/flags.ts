import { existsSync } from 'node:fs';
import { isAbsolute } from 'node:path';
import { invalidArgument } from '../errors/error.ts';
import type { Config, LogLevel } from './config/config.ts';
import { emptyConfig, type LoadedConfig, loadConfig } from './config/load.ts';

/** The flags of the command line; each outweighs the configuration file. */
export interface Flags {
  readonly root?: string;
  readonly state?: string;
  readonly address?: string;
  readonly config?: string;
  readonly logLevel?: LogLevel;
}

/** What a daemon begins with. */
export interface Identity {
  readonly defaults: Config;
  /** Read where it exists and no other file was named. */
  readonly configPath: string;
}

/** What the daemon runs with: defaults, then the file, then the flags. @throws invalid_argument, not_found */
export function configFrom(flags: Flags, { defaults, configPath }: Identity): LoadedConfig {
  const file = flags.config ?? (existsSync(configPath) ? configPath : undefined);
  const loaded = file === undefined ? emptyConfig(defaults) : loadConfig(file, defaults);
  return { ...loaded, config: withFlags(loaded.config, flags) };
}

function withFlags(config: Config, { root, state, address, logLevel }: Flags): Config {
  for (const [name, path] of Object.entries({ root, state, address })) {
    if (path !== undefined && !isAbsolute(path))
      throw invalidArgument(`--${name} must be an absolute path, not ${path}`);
  }
  if (address !== undefined && Buffer.byteLength(address) > 107)
    throw invalidArgument('--address must be at most 107 bytes long');
  const given = {
    ...config,
    root: root ?? config.root,
    state: state ?? config.state,
    address: address ?? config.address,
    // Beside the gRPC socket of the file, it follows the flag.
    ttrpcAddress:
      address !== undefined && config.ttrpcAddress === `${config.address}.ttrpc` ? '' : config.ttrpcAddress,
    logLevel: logLevel ?? config.logLevel,
  };
  if (given.root === given.state) throw invalidArgument('root and state must be different paths');
  return given;
}

import { existsSync } from 'node:fs';
import { isAbsolute } from 'node:path';
import { invalidArgument } from '../errors/error.ts';
import { type Config, defaultConfig, defaultConfigPath, type LogLevel } from './config/config.ts';
import { type LoadedConfig, loadConfig } from './config/load.ts';

/** The flags of the command line; each outweighs the configuration file. */
export interface Flags {
  readonly root?: string;
  readonly state?: string;
  readonly address?: string;
  readonly config?: string;
  readonly logLevel?: LogLevel;
}

/** What the daemon runs with: defaults, then the file, then the flags. @throws invalid_argument, not_found */
export function configFrom(flags: Flags): LoadedConfig {
  const file = flags.config ?? (existsSync(defaultConfigPath) ? defaultConfigPath : undefined);
  const { config, warnings } = file ? loadConfig(file) : { config: defaultConfig, warnings: [] };
  return { config: withFlags(config, flags), warnings };
}

function withFlags(config: Config, { root, state, address, logLevel }: Flags): Config {
  for (const [name, path] of Object.entries({ root, state, address })) {
    if (path !== undefined && !isAbsolute(path))
      throw invalidArgument(`--${name} must be an absolute path, not ${path}`);
  }
  if (address !== undefined && Buffer.byteLength(address) > 107)
    throw invalidArgument('--address must be at most 107 bytes long');
  return {
    ...config,
    root: root ?? config.root,
    state: state ?? config.state,
    address: address ?? config.address,
    logLevel: logLevel ?? config.logLevel,
  };
}

import { defaultConfig, defaultConfigPath } from './config/config.ts';
import { runProgram, version } from './program.ts';

await runProgram({
  name: 'berthd',
  version,
  versionFlags: '-V, --version',
  defaults: defaultConfig,
  configPath: defaultConfigPath,
});

import { apiVersion } from '../api-version.ts';
import { containerdConfig, containerdConfigPath } from '../config/config.ts';
import { runProgram, version } from '../program.ts';

// Who asks for the version reads its third word.
await runProgram({
  name: 'containerd',
  version: `containerd berth ${apiVersion} berth-${version}`,
  versionFlags: '-v, --version',
  defaults: containerdConfig,
  configPath: containerdConfigPath,
});

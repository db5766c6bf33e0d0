import { failedPrecondition, isKind, unknown } from '../errors/error.ts';
import { isNewer } from './oci-version.ts';
import { runCommand } from './run-command.ts';

/** The first criu that can leave the permissions of files alone, as those of the streams must be. */
const oldest = '3.16';
const patienceMs = 10_000;

/** Before anything is asked of criu. @returns its version @throws failed_precondition (missing, too old), unknown */
export async function requireCriu(): Promise<string> {
  const version = /^Version: (\d+\.\d+\S*)/m.exec(await askVersion())?.[1];
  if (version === undefined) throw unknown('criu does not tell its version');
  if (isNewer(oldest, version))
    throw failedPrecondition(`criu ${version} is too old: checkpoints need ${oldest} or later`);
  return version;
}

async function askVersion(): Promise<string> {
  try {
    return (await runCommand({ file: 'criu', args: ['--version'], timeoutMs: patienceMs })).stdout;
  } catch (error) {
    if (isKind(error, 'not_found'))
      throw failedPrecondition('checkpoints need criu, which is not in PATH', error);
    throw error;
  }
}

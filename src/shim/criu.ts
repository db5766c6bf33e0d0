import { failedPrecondition, isKind, unknown } from '../errors/error.ts';
import { runtimeBinary } from './choose-runtime.ts';
import { isNewer } from './oci-version.ts';
import { runCommand } from './run-command.ts';

/** The first criu that can leave the permissions of files alone, as those of the streams must be. */
const oldest = '3.16';
const patienceMs = 10_000;

/**
 * Before anything is asked of criu through the OCI runtime of that name.
 * @returns criu's version @throws failed_precondition (missing, too old, unknown to the runtime), unknown
 */
export async function requireCriu(runtimeFile: string): Promise<string> {
  const { knowsCriu } = await runtimeBinary(runtimeFile);
  if (!knowsCriu) throw failedPrecondition(`checkpoints need criu, which ${runtimeFile} was built without`);
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

import { createHash } from 'node:crypto';
import { basename, dirname, join } from 'node:path';
import { failedPrecondition } from '../../errors/error.ts';
import { bundlesDir } from '../../rpc/ttrpc-shim.ts';

/** The daemon's state directory, three above a bundle of it. @throws failed_precondition (another layout) */
export function stateDirOf(bundle: string): string {
  const bundles = dirname(dirname(bundle));
  if (basename(bundles) === bundlesDir) return dirname(bundles);
  throw failedPrecondition(`working directory ${bundle} is no bundle in ${bundlesDir}`);
}

/** The socket of the shim of a state directory that is another daemon's; with a namespace, that for calls in it. */
export function launchedSocketPath(stateDir: string, namespace = ''): string {
  const hash = createHash('sha256').update(`launched ${stateDir} ${namespace}`).digest('hex').slice(0, 16);
  return join(stateDir, 's', hash);
}

import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { messageOf } from '../../errors/error.ts';
import { namesIn } from '../../sys/names-in.ts';
import { type Finding, keyOf } from './finding.ts';

const run = promisify(execFile);
const deleteMs = 30_000;

/**
 * Containers that an OCI runtime keeps in the state directory and that have no bundle any more. A bundle is made before
 * its container and removed after it, so nobody is at work on these: the runtime deletes them, whatever still runs.
 * @param hasBundle asked after the runtime's list was read
 */
export async function checkRuntimeState(
  stateDir: string,
  env: Readonly<Record<string, string>>,
  hasBundle: (key: string) => boolean,
): Promise<Finding[]> {
  const root = join(stateDir, 'runc');
  const found: Finding[] = [];
  for (const namespace of await namesIn(root))
    for (const id of await namesIn(join(root, namespace)))
      if (!hasBundle(keyOf({ namespace, id }))) found.push(await remove(join(root, namespace), id, env));
  return found;
}

async function remove(root: string, id: string, env: Readonly<Record<string, string>>): Promise<Finding> {
  const what = join(root, id);
  // runc writes state.json, crun status.
  const program = existsSync(join(what, 'status')) ? 'crun' : 'runc';
  try {
    await run(program, ['--root', root, 'delete', '--force', id], { env: { ...env }, timeout: deleteMs });
    return { kind: 'runtime-state', what, why: 'its bundle is gone', repaired: true };
  } catch (error) {
    return { kind: 'runtime-state', what, why: messageOf(error).slice(0, 500), repaired: false };
  }
}

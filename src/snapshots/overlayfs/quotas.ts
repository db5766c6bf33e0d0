import { statfsSync } from 'node:fs';
import { codeOf, failedPrecondition, invalidArgument } from '../../errors/error.ts';
import { labelNames } from '../../oci/label-names.ts';
import { AT_FDCWD, O_DIRECTORY, O_RDONLY } from '../../sys/constants.ts';
import type { Fd } from '../../sys/fd.ts';
import { openAt } from '../../sys/files.ts';
import { limitProject, projectOf, setProject } from '../../sys/project-quota.ts';
import type { DriverSnapshot } from '../driver.ts';

/** How many bytes may be written to an active snapshot, as a decimal number. */
const quotaLabel = 'containerd.io/snapshot/quota';

/** Projects of snapshots are above those that others (kubelet, Docker, an administrator) give out. */
const firstProject = 2 ** 30;
const projects = 2 ** 29;

const unsupported: ReadonlySet<string | undefined> = new Set([
  'ENOTTY',
  'ENOTSUP',
  'EINVAL',
  'ENOSYS',
  'ESRCH',
  'EPERM',
]);

/** The default is for what is written to: not for layers, which say what they are going to be. */
function quotaOf({ labels }: DriverSnapshot, defaultBytes: number): bigint | undefined {
  const { [quotaLabel]: text, [labelNames.snapshotRef]: target } = labels;
  if (text === undefined)
    return defaultBytes === 0 || target !== undefined ? undefined : BigInt(defaultBytes);
  if (/^[1-9]\d{0,17}$/.test(text)) return BigInt(text);
  throw invalidArgument(`label ${quotaLabel} ${JSON.stringify(text.slice(0, 40))} is not a number of bytes`);
}

/**
 * Lets no more be written below the directory of an active snapshot that is being made, and still empty, than its label or
 * the default (0: anything) allows: in a project of its own, as ext4 and XFS know them.
 * @throws invalid_argument (label), failed_precondition where the file system does not limit projects
 */
export function limitSnapshot(path: string, snapshot: DriverSnapshot, defaultBytes: number): void {
  const limitBytes = quotaOf(snapshot, defaultBytes);
  if (limitBytes === undefined) return;
  using directory = openAt(AT_FDCWD, path, O_RDONLY | O_DIRECTORY);
  const project = firstProject + (snapshot.id % projects);
  try {
    setProject(directory, project);
    limitProject(directory, project, limitBytes);
  } catch (error) {
    if (unsupported.has(codeOf(error))) throw cannot(error);
    throw error;
  }
  // Projects may be counted without being limited; where they are limited their directories are as large as that.
  const { bsize, blocks } = statfsSync(path, { bigint: true });
  if (blocks * bsize > limitBytes + bsize) throw cannot();
}

/** Takes the limit back when the snapshot goes. Its number, and so its project, is not used again. */
export function forgetLimit(path: string): void {
  try {
    using directory = openAt(AT_FDCWD, path, O_RDONLY | O_DIRECTORY);
    const project = ownProject(directory);
    if (project !== undefined) limitProject(directory, project, 0n);
  } catch {
    // What cannot be limited has no limit.
  }
}

function ownProject(directory: Fd): number | undefined {
  const project = projectOf(directory);
  return project >= firstProject && project < firstProject + projects ? project : undefined;
}

const cannot = (cause?: unknown) =>
  failedPrecondition(
    'the size of snapshots cannot be limited here (ext4 or XFS mounted with prjquota, Linux 5.14)',
    cause,
  );

import { readlinkSync } from 'node:fs';
import { codeOf, wrap } from '../errors/error.ts';
import { openInRoot } from './beneath.ts';
import { AT_FDCWD, O_PATH, O_RDONLY, O_RDWR } from './constants.ts';
import type { Fd } from './fd.ts';
import { check, cPath, libcCall } from './ffi.ts';
import { openAt } from './files.ts';
import { attachLoop } from './loop-device.ts';
import {
  type MountOptions,
  MS_BIND,
  MS_NOATIME,
  MS_NODEV,
  MS_NODIRATIME,
  MS_NOEXEC,
  MS_NOSUID,
  MS_RDONLY,
  MS_REC,
  MS_RELATIME,
  MS_REMOUNT,
  parseMountOptions,
} from './mount-options.ts';
import { listMounts } from './mountinfo.ts';
import { MAX_DATA_BYTES, mountLongOverlay } from './overlay-mount.ts';

/** What mount(2) takes, in the words of containerd.types.Mount; see `Mount` of snapshots/snapshotter.ts. */
export interface Mount {
  readonly type: string;
  readonly source: string;
  /** Path below the target it is mounted on, resolved inside it; '' or absent for the target itself. */
  readonly target?: string;
  readonly options: readonly string[];
}

const mountCall = libcCall('mount', [
  'const char *',
  'const char *',
  'const char *',
  'uint64',
  'const char *',
]);
const umountCall = libcCall('umount2', ['const char *', 'int']);
const statfsCall = libcCall('fstatfs', ['int', 'void *']);
const MNT_DETACH = 2;
const UMOUNT_NOFOLLOW = 8;

/**
 * Mounts a list in order on `target`, an existing directory or file. All or nothing: what was mounted is unmounted
 * when a later one fails. Targets are pinned by descriptor, so no symlink swapped in can redirect them.
 * @throws SysError wrapped with the mount's words, not_implemented (id maps)
 */
export async function mountAll(mounts: readonly Mount[], target: string): Promise<void> {
  const places: string[] = [];
  try {
    for (const mount of mounts) await mountOne(mount, target, places);
  } catch (error) {
    for (const place of places.reverse()) await unmount(place, { detach: true }).catch(() => {});
    throw error;
  }
}

async function mountOne(mount: Mount, target: string, places: string[]): Promise<void> {
  try {
    const options = parseMountOptions(mount.options);
    using place = openTarget(target, mount.target ?? '');
    const path = readlinkSync(place.procPath);
    await mountOn(mount, options, place.procPath);
    places.push(path);
    await finishMount(mount, options, target);
  } catch (error) {
    throw wrap(error, `mount ${mount.type || 'bind'} ${mount.source} on ${target}`);
  }
}

async function finishMount(mount: Mount, options: MountOptions, target: string): Promise<void> {
  if ((options.flags & MS_BIND) === 0 && options.propagation.length === 0) return;
  // Opened again: the handle that was mounted on still names what lies below the new mount.
  using top = openTarget(target, mount.target ?? '');
  if ((options.flags & MS_BIND) !== 0) await remountBind(options, top);
  for (const bits of options.propagation) await rawMount('none', top.procPath, null, bits, '');
}

function openTarget(target: string, below: string): Fd {
  const base = openAt(AT_FDCWD, target, O_PATH);
  if (below === '') return base;
  using root = base;
  return openInRoot(root, below, O_PATH);
}

async function mountOn(mount: Mount, options: MountOptions, place: string): Promise<void> {
  const data = options.data.join(',');
  if (mount.type === 'overlay' && Buffer.byteLength(data) > MAX_DATA_BYTES)
    return mountLongOverlay(options, mount.source, place, rawMount);
  if (options.loop) return mountOverLoop(mount, options, place, data);
  const bind = (options.flags & MS_BIND) !== 0;
  const flags = bind ? options.flags & (MS_BIND | MS_REC) : options.flags;
  await rawMount(mount.source, place, bind ? null : mount.type, flags, bind ? '' : data);
}

/** The device goes with the mount: nobody else keeps it. */
async function mountOverLoop({ source, type }: Mount, { flags }: MountOptions, place: string, data: string) {
  const readOnly = (flags & MS_RDONLY) !== 0;
  using file = openAt(AT_FDCWD, source, readOnly ? O_RDONLY : O_RDWR);
  using device = attachLoop(file, { readOnly });
  await rawMount(device.path, place, type, flags, data);
}

async function rawMount(
  source: string,
  place: string,
  type: string | null,
  flags: number,
  data: string,
): Promise<void> {
  const result = await mountCall.wait(cPath(source), place, type, flags, data === '' ? null : cPath(data));
  check('mount', result);
}

/** The flags of a bind mount take a second call, which must repeat those the source brought along. */
async function remountBind(options: MountOptions, top: Fd): Promise<void> {
  const wanted = options.flags & ~(MS_BIND | MS_REC);
  if (wanted === 0 && options.cleared === 0) return;
  const flags = (wanted | inheritedFlags(top)) & ~options.cleared;
  await rawMount('none', top.procPath, null, flags | MS_BIND | MS_REMOUNT, '');
}

// f_flags of struct statfs; the ST_ bits equal the MS_ bits but for relatime.
function inheritedFlags(top: Fd): number {
  const buffer = Buffer.alloc(120);
  check('fstatfs', statfsCall(top.fd, buffer));
  const bits = buffer.readUInt32LE(80);
  const same = MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_NOATIME | MS_NODIRATIME;
  return (bits & same) | ((bits & 4096) === 0 ? 0 : MS_RELATIME);
}

export interface UnmountOptions {
  /** Takes the mount out of sight at once and ends it when its last user is gone (MNT_DETACH). */
  readonly detach?: boolean;
}

/**
 * Ends the topmost mount at `target`; a last symlink is not followed.
 * @returns false where nothing is mounted (or nothing is there). @throws SysError (EBUSY, …)
 */
export async function unmount(target: string, options: UnmountOptions = {}): Promise<boolean> {
  const flags = UMOUNT_NOFOLLOW | (options.detach === true ? MNT_DETACH : 0);
  try {
    check('umount2', await umountCall.wait(cPath(target), flags), target);
    return true;
  } catch (error) {
    if (codeOf(error) === 'EINVAL' || codeOf(error) === 'ENOENT') return false;
    throw error;
  }
}

/** Ends all mounts stacked on `target` itself. Idempotent. @returns how many. @throws SysError (EBUSY: also when something is mounted below) */
export async function unmountAll(target: string, options: UnmountOptions = {}): Promise<number> {
  let count = 0;
  while (await unmount(target, options)) count++;
  return count;
}

/** Ends every mount at or below `path`, the latest first. Idempotent. @returns how many. @throws SysError */
export async function unmountTree(path: string, options: UnmountOptions = {}): Promise<number> {
  const below = listMounts().filter((m) => m.mountPoint === path || m.mountPoint.startsWith(`${path}/`));
  let count = 0;
  for (const { mountPoint } of below.reverse()) if (await unmount(mountPoint, options)) count++;
  return count;
}

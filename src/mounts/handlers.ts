import { mkdir, readlink, rm, rmdir, symlink } from 'node:fs/promises';
import { codeOf, unknown } from '../errors/error.ts';
import { AT_FDCWD, O_RDONLY, O_RDWR } from '../sys/constants.ts';
import { openAt } from '../sys/files.ts';
import { attachLoop, isLoopOf, keepLoop, type LoopDevice, letGoOfLoop } from '../sys/loop-device.ts';
import { type Mount, mountAll, unmountAll } from '../sys/mount.ts';
import { listMounts } from '../sys/mountinfo.ts';
import { errorWords, mountFailure, mountText, sysErrorOf } from './mount-words.ts';

/** Makes one kind of mount at a path that is not there yet, undoes it, and says whether it still is there. */
interface Handler {
  mount(mount: Mount, at: string): Promise<void>;
  /** Idempotent. @throws SysError (EBUSY) */
  unmount(at: string): Promise<void>;
  isThere(at: string): Promise<boolean>;
}

/** Also where nothing is mounted: whoever cleans up does not know how far somebody came. Never removes files. */
async function unmountDirectory(at: string): Promise<void> {
  await unmountAll(at);
  await rmdir(at).catch((error) => {
    if (codeOf(error) !== 'ENOENT') throw error;
  });
}

const isMounted = async (at: string): Promise<boolean> =>
  listMounts().some(({ mountPoint }) => mountPoint === at);

const plain: Handler = {
  async mount(mount, at) {
    await mkdir(at, { mode: 0o700 });
    await mountAll([mount], at).catch((error) => {
      throw mountFailure(mount, at, error);
    });
  },
  unmount: unmountDirectory,
  isThere: isMounted,
};

/** The path becomes a link to a loop device over the file. Options: `ro`, `direct-io`. */
const loop: Handler = {
  async mount(mount, at) {
    const readOnly = mount.options.includes('ro');
    try {
      using file = openAt(AT_FDCWD, mount.source, readOnly ? O_RDONLY : O_RDWR);
      using device = attachLoop(file, {
        readOnly,
        directIo: mount.options.includes('direct-io'),
        name: loopName(at),
      });
      // The link first: a device that stays must be found again by whoever cleans up.
      await symlink(device.path, at);
      keepLoop(device);
    } catch (error) {
      throw handlerFailure(mount, error);
    }
  },
  async unmount(at) {
    const device = await readlink(at).catch(() => undefined);
    if (device !== undefined) letGoOfLoop(device, loopName(at));
    await rm(at, { force: true });
  },
  async isThere(at) {
    const device = await readlink(at).catch(() => undefined);
    return device !== undefined && isLoopOf(device, loopName(at));
  },
};

/** An image is mounted from its file; where the kernel cannot (before Linux 6.12), over loop devices. */
const erofs: Handler = {
  async mount(mount, at) {
    await mkdir(at, { mode: 0o700 });
    const wanted = { ...mount, options: mount.options.filter((option) => option !== 'loop') };
    try {
      await mountAll([wanted], at);
    } catch (error) {
      if (sysErrorOf(error)?.code !== 'ENOTBLK') throw handlerFailure(mount, error);
      await mountOverLoops(wanted, at).catch((second) => {
        throw handlerFailure(mount, second);
      });
    }
  },
  unmount: unmountDirectory,
  isThere: isMounted,
};

const handlers: Readonly<Record<string, Handler>> = { loop, erofs };

/** Whether mounts of this type are made in a way of their own. */
export const isHandled = (type: string): boolean => Object.hasOwn(handlers, type);

/** Who makes mounts of this type. */
export const handlerOf = (type: string): Handler => (isHandled(type) ? handlers[type] : undefined) ?? plain;

async function mountOverLoops(mount: Mount, at: string): Promise<void> {
  using opened = new DisposableStack();
  const over = (path: string): string => {
    using file = openAt(AT_FDCWD, path, O_RDONLY);
    const device: LoopDevice = opened.use(attachLoop(file));
    return device.path;
  };
  const options = mount.options.map((option) =>
    option.startsWith('device=') ? `device=${over(option.slice(7))}` : option,
  );
  await mountAll([{ ...mount, options: ['ro', 'loop', ...options] }], at);
}

/** Tells one activation's device from any other that may have got its number: the end of its path, which is never used twice. */
const loopName = (at: string): string => `berth:${at.split('/').slice(-2).join('/')}`;

const handlerFailure = (mount: Mount, error: unknown): unknown =>
  sysErrorOf(error) === undefined
    ? error
    : unknown(`mount handler failed ${mountText(mount)}: failed to create fs: ${errorWords(error)}`, error);

import { chmodSync, chownSync, lstatSync, mkdirSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { codeOf, failedPrecondition } from '../errors/error.ts';
import { unmountTree } from '../sys/mount.ts';
import { removeTree } from '../sys/remove-tree.ts';
import type { Config } from './config/config.ts';
import { optDirectory, ttrpcAddress } from './config/derived.ts';

/** Where everything is, below root (survives a reboot) and state (does not). */
export interface Layout {
  readonly root: string;
  readonly state: string;
  readonly content: string;
  readonly snapshots: string;
  readonly database: string;
  readonly logs: string;
  readonly uuid: string;
  /** Files of checkpoints on their way to and from criu. */
  readonly checkpoints: string;
  readonly fifos: string;
  readonly temp: string;
  /** Mounted layers: a short name, because it is repeated for each layer in the options of an overlay. */
  readonly layers: string;
  /** Activated mounts, `<id>/<n>`. */
  readonly mounts: string;
}

/** Where everything is beneath the data root and the state directory. Makes nothing. */
export function layoutOf(root: string, state: string): Layout {
  return {
    root,
    state,
    content: join(root, 'content'),
    snapshots: join(root, 'snapshots'),
    database: join(root, 'metadata.db'),
    logs: join(root, 'logs'),
    uuid: join(root, 'uuid'),
    checkpoints: join(root, 'checkpoints'),
    fifos: join(state, 'fifo'),
    temp: join(state, 'tmp'),
    layers: join(state, 'layers'),
    mounts: join(state, 'mounts'),
  };
}

/**
 * Makes the directories with the modes of CVE-2021-41103 and CVE-2024-25621, whatever the umask, and repairs those that
 * are wider. @throws failed_precondition when a path is not a directory
 */
export function prepareDirectories(layout: Layout, config: Config): void {
  ensureDirectory(layout.root, 0o700);
  for (const path of [layout.content, layout.snapshots, layout.logs]) ensureDirectory(path, 0o700);
  ensureDirectory(layout.state, 0o711);
  ensureDirectory(layout.fifos, 0o711);
  ensureDirectory(layout.temp, 0o700);
  if (config.tempDir !== '') ensureDirectory(config.tempDir, 0o700);
  for (const path of [config.address, ttrpcAddress(config), config.debugAddress])
    if (path.startsWith('/') && dirname(path) !== layout.state)
      mkdirSync(dirname(path), { recursive: true, mode: 0o711 });
  for (const name of ['bin', 'lib'])
    mkdirSync(join(optDirectory(config), name), { recursive: true, mode: 0o711 });
}

function ensureDirectory(path: string, mode: number): void {
  mkdirSync(path, { recursive: true, mode });
  const { uid, gid, mode: found } = statDirectory(path);
  if ((found & 0o7777) !== mode) chmodSync(path, mode);
  const [euid, egid] = [process.geteuid?.() ?? 0, process.getegid?.() ?? 0];
  if (uid !== euid || gid !== egid) chownSync(path, euid, egid);
}

function statDirectory(path: string): { uid: number; gid: number; mode: number } {
  try {
    const stat = lstatSync(path);
    if (stat.isDirectory()) return stat;
  } catch (error) {
    if (codeOf(error) !== 'ENOENT') throw error;
  }
  throw failedPrecondition(`${path} is not a directory (a link is not followed)`);
}

/** Unmounts and removes whatever is in a directory; the directory stays. @throws SysError */
export async function clearDirectory(path: string): Promise<void> {
  for (const name of await readdir(path)) {
    await unmountTree(join(path, name), { detach: true });
    await removeTree(join(path, name));
  }
}

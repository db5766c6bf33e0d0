import {
  appendFileSync,
  chmodSync,
  closeSync,
  ftruncateSync,
  lchownSync,
  linkSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { AT_FDCWD, S_IFBLK, S_IFCHR, S_IFIFO } from '../../src/sys/constants.ts';
import { mknodAt, utimesAt } from '../../src/sys/files.ts';
import { setXattr } from '../../src/sys/xattr.ts';
import type { Random } from '../chaos/random.ts';

/** Changes a tree by `steps` seeded steps: all kinds of files come, change and go; hard links unless told otherwise. As root. */
export function changeTree(root: string, random: Random, steps: number, { links = true } = {}): void {
  const allowed = links ? changes : changes.filter((step) => step !== makeLink);
  for (let i = 0; i < steps; i++) random.pick(allowed)(root, random);
}

type Step = (root: string, random: Random) => void;

const changes: readonly Step[] = [
  makeFile,
  makeFile,
  makeFile,
  makeDirectory,
  makeDirectory,
  makeSymlink,
  makeLink,
  makeSpecial,
  makeSparse,
  remove,
  rename,
  append,
  changeOwner,
  changeMode,
  changeTime,
  setAttribute,
];

const directories = (root: string): string[] => [
  root,
  ...below(root).filter((path) => lstatSync(path).isDirectory()),
];
const files = (root: string): string[] => below(root).filter((path) => lstatSync(path).isFile());

function below(root: string): string[] {
  return readdirSync(root, { withFileTypes: true })
    .sort((a, b) => (a.name < b.name ? -1 : 1))
    .flatMap((entry) => {
      const path = `${root}/${entry.name}`;
      return entry.isDirectory() ? [path, ...below(path)] : [path];
    });
}

const names = ['a', 'b', 'c', 'name with spaces', 'é中', 'x'.repeat(150), '-', 'B', 'wh.', '.hidden'];

function newPath(root: string, random: Random): string {
  const path = `${random.pick(directories(root))}/${random.pick(names)}${random.between(0, 3)}`;
  rmSync(path, { recursive: true, force: true });
  return path;
}

function makeFile(root: string, random: Random): void {
  const path = newPath(root, random);
  writeFileSync(path, Buffer.alloc(random.pick([0, 1, 511, 512, 513, 70_000]), random.between(0, 255)));
  settle(path, random);
}

function makeDirectory(root: string, random: Random): void {
  const path = newPath(root, random);
  mkdirSync(path);
  settle(path, random);
}

function makeSymlink(root: string, random: Random): void {
  const path = newPath(root, random);
  symlinkSync(random.pick(['a', '../b', '/etc/passwd', 'y'.repeat(300)]), path);
  settle(path, random);
}

function makeLink(root: string, random: Random): void {
  const [from] = [files(root)].filter((list) => list.length > 0).map((list) => random.pick(list));
  const path = newPath(root, random);
  if (from !== undefined && lstatSync(from, { throwIfNoEntry: false }) !== undefined) linkSync(from, path);
}

function makeSpecial(root: string, random: Random): void {
  const path = newPath(root, random);
  const [type, major, minor] = random.pick([
    [S_IFIFO, 0, 0],
    [S_IFCHR, 1, 3],
    [S_IFBLK, 7, 300_000],
  ] as const);
  mknodAt(AT_FDCWD, path, type | 0o640, major, minor);
  settle(path, random);
}

function makeSparse(root: string, random: Random): void {
  const path = newPath(root, random);
  const fd = openSync(path, 'w');
  for (let i = random.between(0, 2); i > 0; i--) writeSync(fd, 'data', random.between(0, 7) * (1 << 20));
  ftruncateSync(fd, random.between(8, 9) * (1 << 20) + 5);
  closeSync(fd);
  settle(path, random);
}

const any = (root: string, random: Random): string | undefined => {
  const all = below(root);
  return all.length === 0 ? undefined : random.pick(all);
};

function remove(root: string, random: Random): void {
  const path = any(root, random);
  if (path !== undefined) rmSync(path, { recursive: true });
}

function rename(root: string, random: Random): void {
  const from = any(root, random);
  const to = newPath(root, random);
  if (
    from === undefined ||
    to.startsWith(`${from}/`) ||
    lstatSync(from, { throwIfNoEntry: false }) === undefined
  )
    return;
  // A lower directory of an overlay cannot be renamed without redirect_dir.
  if (!lstatSync(from).isDirectory()) renameSync(from, to);
}

function append(root: string, random: Random): void {
  const [path] = [files(root)].filter((list) => list.length > 0).map((list) => random.pick(list));
  if (path === undefined) return;
  appendFileSync(path, 'more');
  settle(path, random);
}

function changeOwner(root: string, random: Random): void {
  const path = any(root, random);
  if (path !== undefined)
    lchownSync(path, random.pick([0, 1000, 2_097_152, 4_000_000_000]), random.pick([0, 2_500_000]));
}

function changeMode(root: string, random: Random): void {
  const path = any(root, random);
  if (path !== undefined && !lstatSync(path).isSymbolicLink())
    chmodSync(path, random.pick([0, 0o644, 0o4755, 0o1777]));
}

const times = [
  0n,
  -1_250_000_000n,
  1_700_000_000_000_000_000n,
  1_700_000_000_123_456_789n,
  9_000_000_000_000_000_001n,
];

function changeTime(root: string, random: Random): void {
  const path = any(root, random);
  if (path !== undefined) settle(path, random);
}

/** A time that is either whole or not, so that both ways to compare are taken. */
function settle(path: string, random: Random): void {
  const time = random.pick(times);
  utimesAt(AT_FDCWD, path, time, time);
}

function setAttribute(root: string, random: Random): void {
  const path = any(root, random);
  if (path === undefined) return;
  const stat = lstatSync(path);
  if (!stat.isFile() && !stat.isDirectory()) return;
  setXattr(path, 'user.key', Buffer.from([0, 10, 61, random.between(0, 255)]));
  if (stat.isFile() && random.between(0, 1) === 1)
    setXattr(path, 'security.capability', Buffer.from('0100000200040000000000000000000000000000', 'hex'));
}

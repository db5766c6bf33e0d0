import {
  codeOf,
  failedPrecondition,
  invalidArgument,
  notImplemented,
  SysError,
  unknown,
} from '../errors/error.ts';
import { S_IFDIR } from '../sys/constants.ts';
import { chmodAt, chownAt, mkdirAt } from '../sys/files.ts';
import type { Mount } from '../sys/mount.ts';
import { typeOf } from '../sys/stat.ts';
import { nameIn, openParent, type Place, placeOf, statPlace } from './allowed-root.ts';
import { errorWords } from './mount-words.ts';

const prefix = 'X-containerd.mkdir.';
const maxId = 0xffff_fffe;

/** A directory to make: mode and owner are given to a new one only. */
interface Wanted {
  readonly path: string;
  readonly place: Place;
  readonly mode: number;
  readonly owner: { readonly uid: number; readonly gid: number } | undefined;
}

/**
 * Makes the directories that options `X-containerd.mkdir.path=<dir>[:<mode>[:<uid>:<gid>]]` name, and takes these options
 * away. One that is there already must have that mode. @throws invalid_argument, not_implemented (outside the allowed
 * roots; another mode), failed_precondition (no directory), unknown (what the kernel says)
 */
export function makeDirectories(roots: readonly string[], mount: Mount): Mount {
  const wanted = mount.options
    .filter((option) => option.startsWith(prefix))
    .map((option) => parse(roots, option));
  for (const one of wanted) make(one);
  return { ...mount, options: mount.options.filter((option) => !option.startsWith(prefix)) };
}

function parse(roots: readonly string[], option: string): Wanted {
  const bad = () => invalidArgument(`invalid mkdir option ${JSON.stringify(option)}: invalid argument`);
  if (!option.startsWith(`${prefix}path=`)) throw bad();
  const [path = '', mode, uid, ...rest] = option.slice(prefix.length + 5).split(':');
  if (uid !== undefined && rest.length === 0) throw bad();
  const gid = rest.join(':');
  const owner = uid === undefined ? undefined : { gid: parseId('gid', gid), uid: parseId('uid', uid) };
  const parsedMode = mode === undefined ? 0o700 : parseMode(mode);
  return { path, place: placeOf(roots, path, 'mkdir'), mode: parsedMode, owner };
}

function parseId(what: string, text: string): number {
  const id = /^\d{1,10}$/.test(text) ? Number(text) : -1;
  if (id < 0 || id > maxId)
    throw invalidArgument(`invalid ${what} ${JSON.stringify(text)}: invalid argument`);
  return id;
}

function parseMode(text: string): number {
  if (!/^[0-7]{1,10}$/.test(text))
    throw unknown(`invalid mode ${text}: strconv.ParseUint: parsing ${JSON.stringify(text)}: invalid syntax`);
  const mode = Number.parseInt(text, 8);
  if (mode > 0o777) throw unknown(`invalid mode ${mode.toString(8)}`);
  return mode;
}

function make({ path, place, mode, owner }: Wanted): void {
  try {
    using parent = openParent(place);
    const found = statPlace(parent, place);
    if (found !== undefined) {
      mustBeSame(path, found.mode, mode);
      return;
    }
    mkdirAt(parent, nameIn(place), mode);
    chmodAt(parent, nameIn(place), mode);
    if (owner !== undefined) chownAt(parent, nameIn(place), owner.uid, owner.gid);
  } catch (error) {
    if (!(error instanceof SysError) || codeOf(error) === undefined) throw error;
    const words = `mkdirat ${place.below}: ${errorWords(error)}`;
    throw unknown(`failed to create directory ${JSON.stringify(path)}: ${words}`, error);
  }
}

function mustBeSame(path: string, found: number, mode: number): void {
  if (typeOf({ mode: found }) !== S_IFDIR)
    throw failedPrecondition(
      `mkdir target ${JSON.stringify(path)} exists and is not a directory: failed precondition`,
    );
  if ((found & 0o777) !== mode)
    throw notImplemented('chmod not supported yet for mkdir handler: not implemented');
}

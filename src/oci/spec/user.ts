import { invalidArgument } from '../../errors/error.ts';
import { findGroup, findUser, groupIdsOf, type PasswdEntry } from './account-files.ts';

/** Who a process runs as. `additionalGids` includes the primary gid (CVE-2023-25173). */
export interface ResolvedUser {
  readonly uid: number;
  readonly gid: number;
  readonly additionalGids: readonly number[];
  readonly name?: string;
  readonly home?: string;
}

/** /etc/passwd and /etc/group of the image, undefined where it has none. At most 10 MiB each (CVE-2026-47262). */
export interface AccountFiles {
  readonly passwd?: Uint8Array | undefined;
  readonly group?: Uint8Array | undefined;
}

/** Largest uid and gid: beyond, kernels, runtimes and Go's ints disagree. */
export const maxId = 2 ** 31 - 1;

/**
 * Resolves `''` (root), `user`, `uid`, `user:group`, `uid:gid` and mixtures. Digits are always an id and never looked
 * up as a name; an id out of range is refused, not wrapped (CVE-2024-40635, CVE-2026-46680). Without an explicit
 * group the account's own group and memberships count; with one, only that one.
 * @throws invalid_argument
 */
export function resolveUser(text: string, files: AccountFiles): ResolvedUser {
  const [user = '', group, ...rest] = text.split(':');
  if (rest.length > 0 || text.length > 512) throw bad(text, 'want user, uid, user:group or uid:gid');
  const account = accountOf(text, user === '' ? '0' : user, files);
  if (group !== undefined && group !== '') {
    const gid = groupIdOf(text, group, files);
    return { ...account, gid, additionalGids: [gid] };
  }
  const memberOf = account.name === undefined ? [] : groupIdsOf(files.group, account.name, maxId);
  return { ...account, additionalGids: [...new Set([account.gid, ...memberOf])] };
}

type Account = Omit<ResolvedUser, 'additionalGids'>;

function accountOf(text: string, user: string, files: AccountFiles): Account {
  const uid = idOf(text, user);
  const entry = findUser(files.passwd, uid === undefined ? { name: checkedName(text, user) } : { id: uid });
  if (entry === undefined && uid === undefined) throw bad(text, 'no such user in the image');
  if (entry === undefined) return { uid: uid ?? 0, gid: 0 };
  return fromEntry(text, entry);
}

function fromEntry(text: string, entry: PasswdEntry): Account {
  const uid = idOf(text, entry.uid);
  const gid = idOf(text, entry.gid);
  if (uid === undefined || gid === undefined) throw bad(text, "the image's passwd has a malformed id");
  const home = /^\/[^\0\r\n]{0,4095}$/.test(entry.home) ? { home: entry.home } : {};
  return { uid, gid, name: entry.name, ...home };
}

function groupIdOf(text: string, group: string, files: AccountFiles): number {
  const gid = idOf(text, group);
  if (gid !== undefined) return gid;
  const entry = findGroup(files.group, checkedName(text, group));
  if (entry === undefined) throw bad(text, 'no such group in the image');
  const found = idOf(text, entry.gid);
  if (found === undefined) throw bad(text, "the image's group file has a malformed id");
  return found;
}

/** The exact decimal value of digits, undefined for anything else. */
function idOf(text: string, part: string): number | undefined {
  if (!/^\d+$/.test(part)) return undefined;
  if (part.length > 64 || BigInt(part) > BigInt(maxId)) throw bad(text, `ids go from 0 to ${maxId}`);
  return Number(part);
}

/** Names that some parser could take for a number, or that are no names at all, are refused. */
function checkedName(text: string, name: string): string {
  if (/^[+-]/.test(name) || /[\s\p{Cc}/]/u.test(name) || !Number.isNaN(Number(name)))
    throw bad(text, 'not a name');
  return name;
}

const bad = (text: string, why: string) =>
  invalidArgument(`user ${JSON.stringify(text.slice(0, 100))}: ${why}`);

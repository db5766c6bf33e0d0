import { invalidArgument, resourceExhausted } from '../../errors/error.ts';

/** Largest passwd or group file that is read, in bytes (CVE-2026-47262). */
export const accountFileLimitBytes = 10 * 1024 * 1024;
const maxGroups = 65_536;

/** Ids are text here: whoever uses them checks their range. */
export interface PasswdEntry {
  readonly name: string;
  readonly uid: string;
  readonly gid: string;
  readonly home: string;
}

export interface GroupEntry {
  readonly name: string;
  readonly gid: string;
  readonly members: readonly string[];
}

/** First line of passwd with this name, or with this uid in decimal. @throws invalid_argument over 10 MiB */
export function findUser(
  file: Uint8Array | undefined,
  wanted: { readonly name: string } | { readonly id: number },
): PasswdEntry | undefined {
  for (const [name = '', , uid = '', gid = '', , home = ''] of linesOf(file)) {
    const same = 'name' in wanted ? name === wanted.name : isId(uid) && Number(uid) === wanted.id;
    if (name !== '' && same) return { name, uid, gid, home };
  }
  return undefined;
}

/** First line of group with this name. @throws invalid_argument over 10 MiB */
export function findGroup(file: Uint8Array | undefined, wanted: string): GroupEntry | undefined {
  for (const [name = '', , gid = '', members = ''] of linesOf(file))
    if (name === wanted) return { name, gid, members: members.split(',') };
  return undefined;
}

/**
 * Gids of the groups that list `user`, malformed and out-of-range ones left out, sorted by place in the file.
 * @throws resource_exhausted above 65536 (the kernel's NGROUPS_MAX)
 */
export function groupIdsOf(file: Uint8Array | undefined, user: string, maxId: number): number[] {
  const gids = new Set<number>();
  for (const [, , gid = '', members = ''] of linesOf(file))
    if (isId(gid) && Number(gid) <= maxId && hasMember(members, user)) gids.add(Number(gid));
  if (gids.size > maxGroups)
    throw resourceExhausted(`user ${JSON.stringify(user)} is in more than ${maxGroups} groups`);
  return [...gids];
}

const isId = (text: string): boolean => /^\d{1,15}$/.test(text);

const hasMember = (members: string, user: string): boolean =>
  members.includes(user) && members.split(',').some((member) => member.trim() === user);

function* linesOf(file: Uint8Array | undefined): Generator<string[]> {
  if (file === undefined) return;
  if (file.byteLength > accountFileLimitBytes)
    throw invalidArgument('passwd or group file larger than 10 MiB');
  const text = Buffer.from(file.buffer, file.byteOffset, file.byteLength).toString('utf8');
  for (let start = 0; start < text.length; ) {
    const newline = text.indexOf('\n', start);
    const end = newline < 0 ? text.length : newline;
    const line = text.slice(start, end).trim();
    if (line !== '' && !line.startsWith('#') && !line.startsWith('+') && !line.startsWith('-'))
      yield line.split(':', 8);
    start = end + 1;
  }
}

import { invalidArgument } from '../../errors/error.ts';

/**
 * The ranges that subuid(5) and subgid(5) give a user, as maps of a user namespace: the ids from 0 on, one range after
 * another. `default` is the user `berth`. @throws invalid_argument (none)
 */
export function subordinateIds(
  user: string,
  read: (path: string) => string,
): { readonly uidMap: string; readonly gidMap: string } {
  const name = user === 'default' ? 'berth' : user;
  return { uidMap: mapOf(name, '/etc/subuid', read), gidMap: mapOf(name, '/etc/subgid', read) };
}

function mapOf(name: string, path: string, read: (path: string) => string): string {
  let inside = 0;
  const ranges = read(path)
    .split('\n')
    .map((line) => line.trim().split(':'))
    .filter(
      ([owner, start, count]) => owner === name && /^\d+$/.test(start ?? '') && /^\d+$/.test(count ?? ''),
    )
    .map(([, start, count]) => {
      const range = `${inside}:${start}:${count}`;
      inside += Number(count);
      return range;
    });
  if (ranges.length > 0) return ranges.join();
  throw invalidArgument(`${path} has no range of user ${name}: add a line such as ${name}:100000:65536`);
}

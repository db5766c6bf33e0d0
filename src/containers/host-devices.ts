import { invalidArgument, messageOf } from '../errors/error.ts';
import type { GivenDevice } from '../oci/spec/cdi-edits.ts';
import type { Device } from '../oci/spec/runtime-spec.ts';
import { AT_FDCWD, O_PATH, S_IFBLK, S_IFCHR } from '../sys/constants.ts';
import { openAt } from '../sys/files.ts';
import { statFd, typeOf } from '../sys/stat.ts';

/** A device node of the host. @throws invalid_argument (none there, or none at all) */
export function hostDevice(path: string): Device {
  using node = open(path);
  const stat = statFd(node);
  const type = typeOf(stat);
  if (type !== S_IFCHR && type !== S_IFBLK) throw invalidArgument(`${path} is not a device node`);
  const { mode, uid, gid, rdev } = stat;
  return { path, type: type === S_IFCHR ? 'c' : 'b', ...rdev, fileMode: mode & 0o777, uid, gid };
}

/** `host[:container[:rwm]]`, as people write it. @throws invalid_argument */
export function parseHostDevice(text: string): GivenDevice {
  const [host = '', second = host, third, ...rest] = text.split(':');
  const isAccess = third === undefined && /^[rwm]{1,3}$/.test(second);
  const path = isAccess ? host : second;
  const access = isAccess ? second : (third ?? 'rwm');
  if (rest.length > 0 || !host.startsWith('/') || !path.startsWith('/') || !/^[rwm]{1,3}$/.test(access))
    throw invalidArgument(
      `device ${JSON.stringify(text.slice(0, 200))}: want /dev/name[:/dev/name[:rwm]] or vendor/class=name`,
    );
  return { ...hostDevice(host), path, access };
}

function open(path: string) {
  try {
    return openAt(AT_FDCWD, path, O_PATH);
  } catch (error) {
    throw invalidArgument(`device ${path}: ${messageOf(error)}`, error);
  }
}

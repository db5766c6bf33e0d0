import { readFileSync } from 'node:fs';

/** One line of /proc/<pid>/mountinfo (proc_pid_mountinfo(5)). */
export interface MountInfo {
  readonly id: number;
  readonly parentId: number;
  readonly major: number;
  readonly minor: number;
  /** The directory of the file system that is seen here. */
  readonly root: string;
  readonly mountPoint: string;
  /** Per-mount options: `rw`, `nosuid`, `relatime`, … */
  readonly options: readonly string[];
  /** Propagation: `shared:2`, `master:1`, … */
  readonly optional: readonly string[];
  readonly type: string;
  readonly source: string;
  /** Options of the file system, for overlay `lowerdir=…`. */
  readonly superOptions: readonly string[];
}

/** The mounts this process (or `pid`) sees, in the order they were made. @throws ENOENT: no such process */
export const listMounts = (pid: number | 'self' = 'self'): MountInfo[] =>
  parseMountinfo(readFileSync(`/proc/${pid}/mountinfo`));

/** Whether a line about any mount that this process sees holds `text`: a quick look before {@link listMounts}. */
export const mountsMention = (text: string): boolean => readFileSync('/proc/self/mountinfo').includes(text);

/** Lines that do not have the form are left out. */
export function parseMountinfo(bytes: Uint8Array): MountInfo[] {
  const lines = Buffer.from(bytes).toString('latin1').split('\n');
  return lines.map(parseLine).filter((mount) => mount !== undefined);
}

function parseLine(line: string): MountInfo | undefined {
  const fields = line.split(' ');
  const dash = fields.indexOf('-', 6);
  const [id, parent, device = '', root, mountPoint, options] = fields;
  const [type, source, superOptions] = dash < 0 ? [] : fields.slice(dash + 1);
  if (root === undefined || mountPoint === undefined || type === undefined || source === undefined)
    return undefined;
  const [major, minor] = device.split(':');
  return {
    id: Number(id),
    parentId: Number(parent),
    major: Number(major),
    minor: Number(minor),
    root: unescapeField(root),
    mountPoint: unescapeField(mountPoint),
    options: splitOptions(options),
    optional: fields.slice(6, dash),
    type: unescapeField(type),
    source: unescapeField(source),
    superOptions: splitOptions(superOptions),
  };
}

// Commas inside an option are escaped by overlayfs itself with a backslash, which the kernel shows as \134.
const splitOptions = (text = ''): string[] => unescapeField(text).split(/(?<!\\),/);

/** Space, tab, newline, backslash and # come as three octal digits; the rest is bytes, mostly UTF-8. */
const unescapeField = (field: string): string =>
  Buffer.from(
    field.replace(/\\([0-3][0-7]{2})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8))),
    'latin1',
  ).toString();

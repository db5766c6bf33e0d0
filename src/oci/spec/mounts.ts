import { posix } from 'node:path';
import { invalidArgument } from '../../errors/error.ts';
import type { SpecMount } from './runtime-spec.ts';

const mount = (destination: string, type: string, source: string, options: string): SpecMount => ({
  destination,
  type,
  source,
  options: options.split(','),
});

/** File systems that every container has, as containerd mounts them. `privileged`: sysfs and cgroups are writable. */
export function defaultMounts(privileged: boolean): SpecMount[] {
  const access = privileged ? 'rw' : 'ro';
  return [
    mount('/proc', 'proc', 'proc', 'nosuid,noexec,nodev'),
    mount('/dev', 'tmpfs', 'tmpfs', 'nosuid,strictatime,mode=755,size=65536k'),
    mount('/dev/pts', 'devpts', 'devpts', 'nosuid,noexec,newinstance,ptmxmode=0666,mode=0620,gid=5'),
    mount('/dev/shm', 'tmpfs', 'shm', 'nosuid,noexec,nodev,mode=1777,size=65536k'),
    mount('/dev/mqueue', 'mqueue', 'mqueue', 'nosuid,noexec,nodev'),
    mount('/sys', 'sysfs', 'sysfs', `nosuid,noexec,nodev,${access}`),
    mount('/sys/fs/cgroup', 'cgroup', 'cgroup', `nosuid,noexec,nodev,relatime,${access}`),
    mount('/run', 'tmpfs', 'tmpfs', 'nosuid,strictatime,mode=755,size=65536k'),
  ];
}

/** Defaults, then the caller's in order of depth; one at the same place replaces the default. @throws invalid_argument */
export function mountsFor(wanted: readonly SpecMount[], privileged: boolean): SpecMount[] {
  const own = wanted.map((m) => checkedMount(m, privileged));
  const byPlace = new Map(own.map((m) => [m.destination, m]));
  if (byPlace.size !== own.length) throw invalidArgument('two mounts have the same destination');
  const defaults = defaultMounts(privileged);
  const places = new Set(defaults.map((m) => m.destination));
  const others = own.filter((m) => !places.has(m.destination));
  return [
    ...defaults.map((m) => byPlace.get(m.destination) ?? m),
    ...others.toSorted((a, b) => depthOf(a) - depthOf(b)),
  ];
}

const depthOf = ({ destination }: SpecMount): number => destination.split('/').length;

function checkedMount(wanted: SpecMount, privileged: boolean): SpecMount {
  const destination = checkedDestination(wanted.destination, privileged);
  const isBind = wanted.type === 'bind' || wanted.options.some((o) => o === 'bind' || o === 'rbind');
  if (isBind) return checkedBind(wanted, destination);
  if (!/^[a-z0-9_.]{1,32}$/.test(wanted.type)) throw invalidArgument(`mount ${destination}: invalid type`);
  const options = wanted.type === 'tmpfs' ? ['nosuid', 'nodev', 'noexec', ...wanted.options] : wanted.options;
  return {
    destination,
    type: wanted.type,
    source: plain(wanted.source || wanted.type),
    options: options.map(plain),
  };
}

const propagations = new Set(
  ['private', 'shared', 'slave', 'unbindable'].flatMap((name) => [name, `r${name}`]),
);

function checkedBind(wanted: SpecMount, destination: string): SpecMount {
  const source = plain(wanted.source);
  if (!source.startsWith('/')) throw invalidArgument(`mount ${destination}: the source must be absolute`);
  const options = wanted.options.map(plain);
  if (!options.includes('bind') && !options.includes('rbind')) options.unshift('rbind');
  if (!options.some((o) => propagations.has(o))) options.push('rprivate');
  return { destination, type: 'bind', source: posix.normalize(source), options };
}

/** Cleaned, and outside of /proc and /sys unless privileged (CVE-2015-3630, CVE-2019-16884). */
function checkedDestination(text: string, privileged: boolean): string {
  const clean = posix.normalize(plain(text)).replace(/(.)\/+$/, '$1');
  if (!clean.startsWith('/')) throw invalidArgument(`mount destination ${quoted(text)} must be absolute`);
  if (clean === '/') throw invalidArgument('mount destination cannot be the root');
  if (!privileged && /^\/(?:proc|sys)(?:\/|$)/.test(clean))
    throw invalidArgument(`mount destination ${clean} is inside /proc or /sys`);
  return clean;
}

function plain(text: string): string {
  if (text.includes('\0') || text.length > 4096) throw invalidArgument(`invalid mount field ${quoted(text)}`);
  return text;
}

const quoted = (text: string): string => JSON.stringify(text.slice(0, 100));

import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { hostPlatform } from '../oci/platform.ts';
import type { HostFacts } from '../oci/spec/build.ts';
import { capabilitiesOfMask } from '../oci/spec/capabilities.ts';
import type { Device } from '../oci/spec/runtime-spec.ts';
import { AT_FDCWD, O_DIRECTORY, O_PATH, S_IFBLK, S_IFCHR } from '../sys/constants.ts';
import { openAt } from '../sys/files.ts';
import { namesInSync } from '../sys/names-in.ts';
import { statAt, typeOf } from '../sys/stat.ts';

/** Reads what specs need to know of this machine; `devices` only when asked for (a walk through /dev). */
export function readHostFacts(withDevices: boolean): HostFacts {
  return {
    architecture: hostPlatform().architecture,
    capabilities: ownCapabilities(),
    thermalCpus: thermalCpus(),
    unifiedCgroups: existsSync('/sys/fs/cgroup/cgroup.controllers'),
    ...(withDevices ? { devices: listDevices('/dev') } : {}),
  };
}

/** What this process has and may hand on. */
export function ownCapabilities(): string[] {
  const status = readFileSync('/proc/self/status', 'utf8');
  const mask = (name: string) =>
    capabilitiesOfMask(new RegExp(`^${name}:\\s*([0-9a-f]+)$`, 'm').exec(status)?.[1] ?? '0');
  const bounding = new Set(mask('CapBnd'));
  return mask('CapEff').filter((name) => bounding.has(name));
}

function thermalCpus(): number[] {
  const root = '/sys/devices/system/cpu';
  return namesInSync(root)
    .filter((name) => /^cpu\d+$/.test(name) && existsSync(join(root, name, 'thermal_throttle')))
    .map((name) => Number(name.slice(3)));
}

const skipped = new Set(['pts', 'shm', 'fd', 'mqueue', 'console', '.udev', '.lxc', '.lxd-mounts']);

/** Device nodes beneath a directory, without terminals and without following links. */
function listDevices(directory: string): Device[] {
  return namesInSync(directory)
    .filter((name) => !skipped.has(name))
    .flatMap((name) => devicesAt(directory, name));
}

function devicesAt(directory: string, name: string): Device[] {
  const path = join(directory, name);
  using dir = openAt(AT_FDCWD, directory, O_PATH | O_DIRECTORY);
  const stat = statAt(dir, name);
  const type = typeOf(stat);
  if (type === 0o040000) return listDevices(path);
  if (type !== S_IFCHR && type !== S_IFBLK) return [];
  const { mode, uid, gid, rdev } = stat;
  return [{ path, type: type === S_IFCHR ? 'c' : 'b', ...rdev, fileMode: mode & 0o777, uid, gid }];
}

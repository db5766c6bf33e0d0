import { invalidArgument } from '../../errors/error.ts';
import type { DeviceRule, Resources } from './runtime-spec.ts';

export interface ResourceLimits {
  /** 0 or absent: unlimited, for each. */
  readonly memoryBytes?: number | undefined;
  /** Thousandths of a CPU, at least 10. */
  readonly cpuMillis?: number | undefined;
  readonly pidsLimit?: number | undefined;
}

const cpuPeriodMicroseconds = 100_000;
const minMemoryBytes = 6 * 1024 * 1024;

/** Limits and the device rules. @throws invalid_argument below what the kernel can keep, or not a whole number */
export function resourcesFor(limits: ResourceLimits, privileged: boolean): Resources {
  const memory = limitOf(limits.memoryBytes, 'memory', minMemoryBytes);
  const cpu = limitOf(limits.cpuMillis, 'cpu (thousandths)', 10);
  const pids = limitOf(limits.pidsLimit, 'pids', 1);
  return {
    devices: privileged ? [{ allow: true, access: 'rwm' }] : defaultDeviceRules,
    ...(memory === 0 ? {} : { memory: { limit: memory } }),
    ...(cpu === 0
      ? {}
      : { cpu: { quota: cpu * (cpuPeriodMicroseconds / 1000), period: cpuPeriodMicroseconds } }),
    ...(pids === 0 ? {} : { pids: { limit: pids } }),
  };
}

function limitOf(value: number | undefined, name: string, min: number): number {
  if (value === undefined || value === 0) return 0;
  if (Number.isSafeInteger(value) && value >= min) return value;
  throw invalidArgument(`${name} limit ${value}: want 0 (none) or a whole number from ${min}`);
}

const device = (major: number, minor?: number): DeviceRule => ({
  allow: true,
  type: 'c',
  major,
  ...(minor === undefined ? {} : { minor }),
  access: 'rwm',
});

/** Nothing, but nodes may be made, and null, zero, full, random, urandom, tty, console, ptmx, pts are open. */
const defaultDeviceRules: readonly DeviceRule[] = [
  { allow: false, access: 'rwm' },
  { allow: true, type: 'c', access: 'm' },
  { allow: true, type: 'b', access: 'm' },
  ...[3, 5, 7, 8, 9].map((minor) => device(1, minor)),
  ...[0, 1, 2].map((minor) => device(5, minor)),
  device(136),
];

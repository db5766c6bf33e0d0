/**
 * Hidden from containers: side channels and host facts (GHSA-7ww5-4wqc-m92c RAPL, GHSA-jq35-85cj-fj4p,
 * GHSA-6fw5-f8r9-fgfm, CVE-2018-10892). The superset of what containerd and Docker hide.
 */
export const maskedPaths: readonly string[] = [
  '/proc/acpi',
  '/proc/asound',
  '/proc/interrupts',
  '/proc/kcore',
  '/proc/keys',
  '/proc/latency_stats',
  '/proc/sched_debug',
  '/proc/scsi',
  '/proc/timer_list',
  '/proc/timer_stats',
  '/sys/devices/virtual/powercap',
  '/sys/firmware',
];

/** Visible and not writable. */
export const readonlyPaths: readonly string[] = [
  '/proc/bus',
  '/proc/fs',
  '/proc/irq',
  '/proc/sys',
  '/proc/sysrq-trigger',
];

/** Thermal counters of one CPU; spec paths are no patterns, so each CPU that has them is named. */
export const thermalThrottlePath = (cpu: number): string =>
  `/sys/devices/system/cpu/cpu${cpu}/thermal_throttle`;

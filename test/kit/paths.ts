import { join, resolve } from 'node:path';

/** The checkout. */
export const top = resolve(import.meta.dirname, '../..');
export const bin = (name: string): string => join(top, 'bin', name);

/** Where scripts/referees.sh puts third-party programs. */
export const tools = process.env.BERTH_TOOLS ?? '/var/cache/berth-tools';
/** ctr of containerd 2.3.4. */
export const ctr2 = join(tools, 'containerd/ctr');
/** ctr of containerd 1.6.20, Debian bookworm's. */
export const ctr1 = join(tools, 'debian/usr/bin/ctr');
/** ctr 2.1.9, Debian sid's. */
export const ctr21 = join(tools, 'sid/usr/bin/ctr');
/** Shims of other people: containerd's of both generations. */
export const shim2 = join(tools, 'containerd/containerd-shim-runc-v2');
export const shim1 = join(tools, 'debian/usr/bin/containerd-shim-runc-v2');
/** The daemons themselves, as peers. */
export const containerd2 = join(tools, 'containerd/containerd');
export const containerd1 = join(tools, 'debian/usr/bin/containerd');

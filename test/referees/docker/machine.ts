import { existsSync, readFileSync } from 'node:fs';

/** What a machine lacks, whoever serves: a check that needs it must fail in the words told. */
export interface Lack {
  readonly here: boolean;
  readonly why: string;
}

const bounding = BigInt(`0x${/^CapBnd:\s+(\w+)/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1]}`);
const capSysResource = 24n;

/** Without CAP_SYS_RESOURCE nobody lowers an oom_score_adj or hands that capability on. */
export const noSysResource: Lack = {
  here: ((bounding >> capSysResource) & 1n) === 0n,
  why: 'no CAP_SYS_RESOURCE',
};

/** Without IPVS Swarm's ingress network carries nothing. */
export const noIpvs: Lack = { here: !existsSync('/proc/net/ip_vs'), why: 'no IPVS' };

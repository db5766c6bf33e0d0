import assert from 'node:assert/strict';
import { copyFileSync, existsSync, mkdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { type BerthClient, connect } from '../../src/client/index.ts';
import { commandOf, processesOf, type TestDaemon } from '../kit/daemon.ts';
import { openFds } from '../kit/open-fds.ts';
import { patienceMs } from '../kit/until.ts';
import { checkRegisters, checkRunners } from './acknowledged.ts';
import * as clients from './clients.ts';
import type { Journal } from './journal.ts';
import { Random } from './random.ts';
import { allViolations, bringToRest } from './rest.ts';

/** A client of a daemon, patient enough for one that has just started. */
export const connectTo = (daemon: TestDaemon, namespace: string): BerthClient =>
  connect({ address: daemon.address, namespace, timeoutMs: patienceMs });

/** Commands fail at once while the daemon is dead: they must not take its restart all the time there is. */
const breathMs = 250;

type ClientKind = (set: clients.Setting) => clients.Client;

const everyKind: readonly ClientKind[] = [
  clients.puller,
  clients.ctrPuller,
  clients.foreground,
  clients.ctrForeground,
  clients.detached,
  clients.execer,
  clients.leaser,
];

/** Clients work until `fault` is over, end what they are at, and are gone. */
export async function underLoad(
  set: clients.Setting,
  random: Random,
  round: number,
  fault: () => Promise<void>,
  kinds: readonly ClientKind[] = everyKind,
): Promise<void> {
  let isOver = false;
  const work = async (make: ClientKind, index: number): Promise<void> => {
    const own = new Random(random.between(0, 2 ** 31));
    const client = make(set);
    for (let n = 0; !isOver; n++) {
      await client(own, `${round}-${index}-${n}`);
      await sleep(breathMs);
    }
  };
  const all = kinds.map(work);
  await fault();
  isOver = true;
  await Promise.all(all);
}

/** Holds everything that clients were told, and everything there is, against the invariants. A line for each violation. */
export async function checkAll(
  daemon: TestDaemon,
  journal: Journal,
  namespaces: readonly [string, string],
): Promise<string[]> {
  using one = connectTo(daemon, namespaces[0]);
  using two = connectTo(daemon, namespaces[1]);
  const found = await checkRegisters([one, two], journal);
  found.push(...(await checkRunners(one, journal, join(daemon.root, 'logs'))));
  found.push(...(await bringToRest([one, two], journal)));
  found.push(...(await allViolations(daemon, namespaces)));
  return found;
}

/** The shim's pid. @throws where none runs */
export function shimOf(daemon: TestDaemon): number {
  const pid = shimPidOf(daemon);
  if (pid === undefined) throw new Error('no shim runs');
  return pid;
}

/** The shim's pid; undefined where none runs. */
export const shimPidOf = (daemon: TestDaemon): number | undefined =>
  processesOf(daemon.state).find((pid) => commandOf(pid).startsWith('berth-shim'));

/** The daemon's directory goes with the test; its logs and database stay where the message says. */
export function keepEvidence(daemon: TestDaemon, found: readonly string[], name: string): void {
  const dir = join(dirname(daemon.dir), `chaos-${name}`);
  mkdirSync(dir, { recursive: true });
  copyFileSync(daemon.logFile, join(dir, 'berthd.log'));
  const shimLog = join(daemon.state, 's/shim.log');
  if (existsSync(shimLog)) copyFileSync(shimLog, join(dir, 'shim.log'));
  for (const suffix of ['', '-wal'])
    copyFileSync(join(daemon.root, `metadata.db${suffix}`), join(dir, `metadata.db${suffix}`));
  console.log([...found, `evidence: ${dir}`].map((line) => `# ${line}`).join('\n'));
}

/** What the shim holds open for a running container with logs: pidfd, log FIFOs and files, and what wakes it. */
const fdsOfRunner = 10;

/** Descriptors of daemon and shim, without those that running containers take. */
export function ownFds(daemon: TestDaemon, { runners }: Journal): number[] {
  const running = [...runners.values()].filter(({ exitCode }) => exitCode === undefined).length;
  return [openFds(daemon.pid), openFds(shimOf(daemon)) - fdsOfRunner * running];
}

/** The last third may not have more than the first third had, give or take. */
export function assertFlat(fds: readonly number[][]): void {
  const third = Math.ceil(fds.length / 3);
  for (const [which, slackFds] of [
    [0, 12],
    [1, 24],
  ] as const) {
    const most = (list: readonly number[][]) => Math.max(...list.map((pair) => pair[which] ?? 0));
    const [before, after] = [most(fds.slice(0, third)), most(fds.slice(-third))];
    assert.ok(
      after <= before + slackFds,
      `${['daemon', 'shim'][which]}: ${JSON.stringify(fds.map((pair) => pair[which]))}`,
    );
  }
}

import assert from 'node:assert/strict';
import { copyFileSync, mkdirSync, readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { type BerthClient, connect } from '../../src/client/index.ts';
import { commandOf, processesOf, startDaemon, type TestDaemon } from '../kit/daemon.ts';
import { removeCgroups } from '../kit/leftovers.ts';
import { TestRegistry } from '../kit/registry.ts';
import { checkRegisters, checkRunners } from './acknowledged.ts';
import * as clients from './clients.ts';
import { pushImages } from './images.ts';
import { Journal } from './journal.ts';
import { chaosSeed, Random } from './random.ts';
import { allViolations, bringToRest } from './rest.ts';
import { Sequence } from './sequence.ts';

const rounds = Number(process.env.BERTH_CHAOS_ROUNDS ?? 30);
const maxStartMs = 10_000;
/** Commands fail at once while the daemon is dead: they must not take its restart all the time there is. */
const breathMs = 30;

test(`kill -9 at ${rounds} random moments of pull and run under load keeps I1 to I10`, async (t) => {
  const seed = chaosSeed();
  const random = new Random(seed);
  await using registry = await TestRegistry.start();
  const images = await pushImages(registry);
  const namespaces = [`a${process.pid}`, `b${process.pid}`] as const;
  using _cgroups = { [Symbol.dispose]: () => removeCgroups(namespaces) };
  await using daemon = await startDaemon({ logLevel: 'info' });
  const journal = new Journal();
  const set: clients.Setting = { address: daemon.address, namespaces, journal, images, dir: daemon.dir };
  using first = connectTo(daemon, namespaces[0]);
  await first.images.pull(images[0] ?? '').image();
  journal.images.set(`${namespaces[0]} ${images[0]}`, 'present');
  await using sequence = await Sequence.start(first, images[0] ?? '');
  journal.runners.set(sequence.id, sequence.runner);
  const fds: number[][] = [];
  for (let round = 1; round <= rounds; round++) {
    const aliveMs = random.between(100, 2_500);
    const clientsRandom = new Random(random.between(0, 2 ** 31));
    await t.test(`round ${round}: killed after ${aliveMs} ms`, async () => {
      let startMs = 0;
      await underLoad(set, clientsRandom, round, async () => {
        await sleep(aliveMs);
        await daemon.stop('SIGKILL');
        startMs = Date.now();
        await daemon.start();
        startMs = Date.now() - startMs;
      });
      assert.ok(startMs < maxStartMs, `start took ${startMs} ms`);
      const found = await checkAll(daemon, journal, namespaces);
      found.push(...sequence.violations(), ...journal.lies.splice(0));
      if (found.length > 0) keepEvidence(daemon, found, `${seed}-${round}`);
      assert.deepEqual(found, []);
      fds.push([fdsOf(daemon.pid), fdsOf(shimOf(daemon)) - 4 * journal.runners.size]);
    });
  }
  t.diagnostic(`done ${JSON.stringify(Object.fromEntries(journal.done))}`);
  t.diagnostic(`not answered ${JSON.stringify(Object.fromEntries(journal.failed))}`);
  await t.test('descriptors of daemon and shim stay flat (I10)', () => assertFlat(fds));
});

const connectTo = (daemon: TestDaemon, namespace: string): BerthClient =>
  connect({ address: daemon.address, namespace, timeoutMs: 15_000 });

/** Clients work until `fault` is over, end what they are at, and are gone. */
async function underLoad(
  set: clients.Setting,
  random: Random,
  round: number,
  fault: () => Promise<void>,
): Promise<void> {
  let isOver = false;
  const work = async (make: (set: clients.Setting) => clients.Client, index: number): Promise<void> => {
    const own = new Random(random.between(0, 2 ** 31));
    const client = make(set);
    for (let n = 0; !isOver; n++) {
      await client(own, `${round}-${index}-${n}`);
      await sleep(breathMs);
    }
  };
  const all = [
    clients.puller,
    clients.ctrPuller,
    clients.foreground,
    clients.ctrForeground,
    clients.detached,
    clients.execer,
    clients.leaser,
  ].map(work);
  await fault();
  isOver = true;
  await Promise.all(all);
}

async function checkAll(
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

const fdsOf = (pid: number): number => readdirSync(`/proc/${pid}/fd`).length;

function shimOf(daemon: TestDaemon): number {
  const [pid] = processesOf(daemon.state).filter((pid) => commandOf(pid).startsWith('berth-shim'));
  if (pid === undefined) throw new Error('no shim runs');
  return pid;
}

/** The daemon's directory goes with the test; its logs and database stay where the message says. */
function keepEvidence(daemon: TestDaemon, found: readonly string[], name: string): void {
  const dir = join(dirname(daemon.dir), `chaos-${name}`);
  mkdirSync(dir, { recursive: true });
  copyFileSync(daemon.logFile, join(dir, 'berthd.log'));
  copyFileSync(join(daemon.state, 's/shim.log'), join(dir, 'shim.log'));
  for (const suffix of ['', '-wal'])
    copyFileSync(join(daemon.root, `metadata.db${suffix}`), join(dir, `metadata.db${suffix}`));
  console.log([...found, `evidence: ${dir}`].map((line) => `# ${line}`).join('\n'));
}

/** The last third may not have more than the first third had, give or take. */
function assertFlat(fds: readonly number[][]): void {
  const third = Math.ceil(fds.length / 3);
  for (const [which, slackFds] of [
    [0, 6],
    [1, 12],
  ] as const) {
    const most = (list: readonly number[][]) => Math.max(...list.map((pair) => pair[which] ?? 0));
    const [before, after] = [most(fds.slice(0, third)), most(fds.slice(-third))];
    assert.ok(
      after <= before + slackFds,
      `${['daemon', 'shim'][which]}: ${JSON.stringify(fds.map((pair) => pair[which]))}`,
    );
  }
}

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { startDaemon } from '../kit/daemon.ts';
import { removeCgroups } from '../kit/leftovers.ts';
import { TestRegistry } from '../kit/registry.ts';
import * as clients from './clients.ts';
import { pushImages } from './images.ts';
import { Journal } from './journal.ts';
import { faults, Nemesis } from './nemesis.ts';
import { chaosOptions } from './options.ts';
import { Random } from './random.ts';
import { assertFlat, checkAll, connectTo, keepEvidence, ownFds, underLoad } from './round.ts';
import { Sequence } from './sequence.ts';

// By hand: node test/chaos/nemesis.test.ts --rounds 1000 --seed 7
const { rounds, budgetMs, seed } = chaosOptions(30, 100_000);
const kinds = [
  clients.foreground,
  clients.ctrForeground,
  clients.detached,
  clients.execer,
  clients.terminalExecer,
  clients.logReader,
];

test(`kill -9 of berthd, shim, runtimes and clients in up to ${rounds} rounds of load keeps I1 to I10`, async (t) => {
  const random = new Random(seed);
  await using registry = await TestRegistry.start();
  const images = await pushImages(registry);
  const namespaces = [`n${process.pid}`, `m${process.pid}`] as const;
  using _cgroups = { [Symbol.dispose]: () => removeCgroups(namespaces) };
  await using daemon = await startDaemon({ logLevel: 'info' });
  const journal = new Journal();
  const nemesis = new Nemesis(daemon, journal);
  const set: clients.Setting = { address: daemon.address, namespaces, journal, images, dir: daemon.dir };
  using first = connectTo(daemon, namespaces[0]);
  await first.images.pull(images[0] ?? '').image();
  journal.images.set(`${namespaces[0]} ${images[0]}`, 'present');
  await using sequence = await Sequence.start(first, images[0] ?? '');
  journal.runners.set(sequence.id, sequence.runner);
  const fds: number[][] = [];
  const endMs = Date.now() + budgetMs;
  for (let round = 1; round <= rounds && (Date.now() < endMs || round <= 3); round++) {
    const struck = Array.from({ length: random.between(1, 3) }, () => random.pick(faults));
    const own = new Random(random.between(0, 2 ** 31));
    await t.test(`round ${round}: ${struck.join(', ')}`, async () => {
      const strike = async () => {
        for (const fault of struck) {
          await sleep(own.between(50, 700));
          await nemesis.strike(fault, own);
        }
      };
      await underLoad(set, own, round, strike, kinds);
      const found = await checkAll(daemon, journal, namespaces);
      found.push(...sequence.violations(), ...journal.lies.splice(0));
      if (found.length > 0) keepEvidence(daemon, found, `nemesis-${seed}-${round}`);
      assert.deepEqual(found, []);
      fds.push(ownFds(daemon, journal));
    });
  }
  t.diagnostic(
    `seed ${seed}; ${fds.length} rounds; done ${JSON.stringify(Object.fromEntries(journal.done))}`,
  );
  t.diagnostic(`not answered ${JSON.stringify(Object.fromEntries(journal.failed))}`);
  await t.test('descriptors of daemon and shim stay flat (I10)', () => assertFlat(fds));
});

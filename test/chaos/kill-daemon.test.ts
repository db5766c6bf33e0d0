import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { startDaemon } from '../kit/daemon.ts';
import { removeCgroups } from '../kit/leftovers.ts';
import { TestRegistry } from '../kit/registry.ts';
import type { Setting } from './clients.ts';
import { pushImages } from './images.ts';
import { Journal } from './journal.ts';
import { chaosSeed, Random } from './random.ts';
import { assertFlat, checkAll, connectTo, keepEvidence, ownFds, underLoad } from './round.ts';
import { Sequence } from './sequence.ts';

const rounds = Number(process.env.BERTH_CHAOS_ROUNDS ?? 30);

test(`kill -9 at ${rounds} random moments of pull and run under load keeps I1 to I10`, async (t) => {
  const seed = chaosSeed();
  const random = new Random(seed);
  await using registry = await TestRegistry.start();
  const images = await pushImages(registry);
  const namespaces = [`a${process.pid}`, `b${process.pid}`] as const;
  using _cgroups = { [Symbol.dispose]: () => removeCgroups(namespaces) };
  await using daemon = await startDaemon({ logLevel: 'info' });
  const journal = new Journal();
  const set: Setting = { address: daemon.address, namespaces, journal, images, dir: daemon.dir };
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
      await underLoad(set, clientsRandom, round, async () => {
        await sleep(aliveMs);
        await daemon.stop('SIGKILL');
        await daemon.start();
      });
      const found = await checkAll(daemon, journal, namespaces);
      found.push(...sequence.violations(), ...journal.lies.splice(0));
      if (found.length > 0) keepEvidence(daemon, found, `${seed}-${round}`);
      assert.deepEqual(found, []);
      fds.push(ownFds(daemon, journal));
    });
  }
  t.diagnostic(`done ${JSON.stringify(Object.fromEntries(journal.done))}`);
  t.diagnostic(`not answered ${JSON.stringify(Object.fromEntries(journal.failed))}`);
  await t.test('descriptors of daemon and shim stay flat (I10)', () => assertFlat(fds));
});

import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { chaosOptions } from './options.ts';
import { Random } from './random.ts';
import { assertFlat, ownFds, underLoad } from './round.ts';
import { openChaos } from './stage.ts';

// By hand: node test/chaos/kill-daemon.test.ts --rounds 1000 --seed 7
const { rounds, budgetMs, seed } = chaosOptions(30, 300_000);

test(`kill -9 at up to ${rounds} random moments of pull and run under load keeps I1 to I10`, async (t) => {
  const random = new Random(seed);
  await using stage = await openChaos(['a', 'b']);
  const { daemon, journal, set } = stage;
  const fds: number[][] = [];
  const endMs = Date.now() + budgetMs;
  for (let round = 1; round <= rounds && (Date.now() < endMs || round <= 3); round++) {
    const aliveMs = random.between(100, 2_500);
    const clientsRandom = new Random(random.between(0, 2 ** 31));
    await t.test(`round ${round}: killed after ${aliveMs} ms`, async () => {
      await underLoad(set, clientsRandom, round, async () => {
        await sleep(aliveMs);
        await daemon.stop('SIGKILL');
        await daemon.start();
      });
      stage.assertNone(await stage.violations(), `${seed}-${round}`);
      fds.push(ownFds(daemon, journal));
    });
  }
  t.diagnostic(
    `seed ${seed}; ${fds.length} rounds; done ${JSON.stringify(Object.fromEntries(journal.done))}`,
  );
  t.diagnostic(`not answered ${JSON.stringify(Object.fromEntries(journal.failed))}`);
  await t.test('descriptors of daemon and shim stay flat (I10)', () => assertFlat(fds));
});

import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { chaosSeed, Random } from './random.ts';
import { assertFlat, ownFds, underLoad } from './round.ts';
import { openChaos } from './stage.ts';

const rounds = Number(process.env.BERTH_CHAOS_ROUNDS ?? 30);

test(`kill -9 at ${rounds} random moments of pull and run under load keeps I1 to I10`, async (t) => {
  const seed = chaosSeed();
  const random = new Random(seed);
  await using stage = await openChaos(['a', 'b']);
  const { daemon, journal, set } = stage;
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
      stage.assertNone(await stage.violations(), `${seed}-${round}`);
      fds.push(ownFds(daemon, journal));
    });
  }
  t.diagnostic(`done ${JSON.stringify(Object.fromEntries(journal.done))}`);
  t.diagnostic(`not answered ${JSON.stringify(Object.fromEntries(journal.failed))}`);
  await t.test('descriptors of daemon and shim stay flat (I10)', () => assertFlat(fds));
});

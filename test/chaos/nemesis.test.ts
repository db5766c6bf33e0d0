import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import * as clients from './clients.ts';
import { faults, Nemesis } from './nemesis.ts';
import { chaosOptions } from './options.ts';
import { Random } from './random.ts';
import { assertFlat, ownFds, underLoad } from './round.ts';
import { openChaos } from './stage.ts';

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
  await using stage = await openChaos(['n', 'm']);
  const { daemon, journal, set } = stage;
  const nemesis = new Nemesis(daemon, journal);
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
      stage.assertNone(await stage.violations(), `nemesis-${seed}-${round}`);
      fds.push(ownFds(daemon, journal));
    });
  }
  t.diagnostic(
    `seed ${seed}; ${fds.length} rounds; done ${JSON.stringify(Object.fromEntries(journal.done))}`,
  );
  t.diagnostic(`not answered ${JSON.stringify(Object.fromEntries(journal.failed))}`);
  await t.test('descriptors of daemon and shim stay flat (I10)', () => assertFlat(fds));
});

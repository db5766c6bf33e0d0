import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { transferVerbs, type Verb } from './attempts.ts';
import { berth } from './clients.ts';
import type { Known } from './journal.ts';
import { chaosOptions } from './options.ts';
import { Random } from './random.ts';
import { checkAll } from './round.ts';
import { openChaos } from './stage.ts';

// By hand: node test/chaos/kill-transfers.test.ts --rounds 300 --seed 7
const { rounds, budgetMs, seed } = chaosOptions(6, 12_000);

test(`kill -9 at up to ${rounds} random moments of push, prune and load keeps I1 to I10, and the same command then succeeds`, async (t) => {
  const random = new Random(seed);
  await using stage = await openChaos(['t', 'u']);
  const { daemon, journal, set, client } = stage;
  const { images, namespaces } = set;
  for (const image of images.slice(1)) await client.images.pull(image).image();
  /** All but the first, which a container keeps. */
  const note = (known: Known | undefined) => {
    if (known === undefined) return;
    for (const name of images.slice(1)) journal.images.set(`${namespaces[0]} ${name}`, known);
  };
  note('present');
  const archive = join(daemon.dir, 'images.tar');
  const ok = async (args: readonly string[]) => {
    const { status, stdout, stderr } = await berth(set, ...args);
    assert.equal(status, 0, `berth ${args.join(' ')}: ${stdout}${stderr}`);
  };
  await ok(['save', '-o', archive, ...images]);
  const verbs = transferVerbs(set, random, archive);
  /** Of a command that nobody disturbs. */
  const tookMs = async (args: readonly string[]): Promise<number> => {
    const began = performance.now();
    await ok(args);
    return performance.now() - began;
  };
  const startMs = (await tookMs(['images'])) / 2;
  const fullMs = new Map<Verb, number>();
  for (const verb of verbs) {
    await using attempt = await verb.prepare();
    fullMs.set(verb, await tookMs(attempt.args));
  }
  const cutOff = new Map<string, number>();
  const endMs = Date.now() + budgetMs;
  for (let round = 0; round < rounds && (round < verbs.length || Date.now() < endMs); round++) {
    const verb = verbs[round % verbs.length] ?? assert.fail();
    const aliveMs = Math.round(startMs + random.next() * ((fullMs.get(verb) ?? 0) - startMs));
    await t.test(`round ${round + 1}: ${verb.name}, killed after ${aliveMs} ms`, async () => {
      await using attempt = await verb.prepare();
      note(verb.leaves && 'unknown');
      const running = berth(set, ...attempt.args);
      await sleep(aliveMs);
      await daemon.stop('SIGKILL');
      const { status } = await running;
      if (status !== 0) cutOff.set(verb.name, (cutOff.get(verb.name) ?? 0) + 1);
      else note(verb.leaves);
      await daemon.start();
      const found = [
        ...(await checkAll(daemon, journal, namespaces)),
        ...(await attempt.check(status === 0)),
      ];
      await ok(attempt.args);
      note(verb.leaves);
      found.push(...(await stage.violations()), ...(await attempt.check(true)));
      stage.assertNone(found, `${seed}-${round}`);
    });
  }
  t.diagnostic(`cut off ${JSON.stringify(Object.fromEntries(cutOff))}`);
});

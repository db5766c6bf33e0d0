import { eightAtATime, freshName, image, type Lab, removeAll, startSleeper, timedCtr } from '../lab.ts';
import { type Row, sideBySide } from '../stats.ts';

/** What it takes to start containers and processes in them. */
export async function* starts(lab: Lab): AsyncGenerator<Row> {
  const run = (side: 'berth' | 'containerd') =>
    timedCtr(lab[side], 'run', '--rm', image('small'), freshName(), '/bin/true');
  for (const side of ['berth', 'containerd'] as const) await run(side);
  const rounds = lab.quick ? 5 : 40;
  yield {
    figure: '`ctr run --rm … true`',
    unit: 'ms',
    goal: { most: 0.4 },
    ...(await sideBySide(rounds, run)),
  };

  const manyAtOnce = await sideBySide(lab.quick ? 1 : 5, (side) => fortyStarts(lab, side));
  yield { figure: '40 detached starts, 8 at a time', unit: 'ms', goal: { most: 0.4 }, ...manyAtOnce };

  const box = freshName();
  for (const side of ['berth', 'containerd'] as const) await startSleeper(lab[side], box);
  const exec = await sideBySide(rounds, (side) =>
    timedCtr(lab[side], 'tasks', 'exec', '--exec-id', freshName(), box, '/bin/true'),
  );
  for (const side of ['berth', 'containerd'] as const) await removeAll(lab[side], [box]);
  yield { figure: '`ctr task exec … true`', unit: 'ms', goal: { most: 0.5 }, ...exec };
}

async function fortyStarts(lab: Lab, side: 'berth' | 'containerd'): Promise<number> {
  const names = Array.from({ length: 40 }, freshName);
  const start = performance.now();
  await eightAtATime(names, (name) => startSleeper(lab[side], name));
  const tookMs = performance.now() - start;
  await removeAll(lab[side], names);
  return tookMs;
}

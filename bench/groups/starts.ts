import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { eightAtATime, freshName, image, type Lab, removeAll, startSleeper, timedCtr } from '../lab.ts';
import { type Row, sideBySide } from '../stats.ts';

/** What it takes to start containers and processes in them, with runc. */
export const starts = (lab: Lab): AsyncGenerator<Row> => startsWith(lab, '', []);

/** The same with crun for both, where it can run. */
export async function* crun(lab: Lab): AsyncGenerator<Row> {
  const file = join(process.env.BERTH_TOOLS ?? '/var/cache/berth-tools', 'crun/bin/crun');
  if (existsSync('/sys/fs/cgroup/unified/cgroup.controllers')) {
    const line = 'umount /sys/fs/cgroup/unified && exec node bench/main.ts --only crun';
    console.log(`crun refuses hosts with both cgroup versions: sudo unshare -m sh -c '${line}'`);
  } else if (existsSync(file)) yield* startsWith(lab, ', crun', ['--runc-binary', file]);
  else console.log(`${file} is missing: scripts/referees.sh, need_crun`);
}

async function* startsWith(lab: Lab, which: string, flags: readonly string[]): AsyncGenerator<Row> {
  const sides = ['berth', 'containerd'] as const;
  const run = (side: 'berth' | 'containerd') =>
    timedCtr(lab[side], 'run', '--rm', ...flags, image('small'), freshName(), '/bin/true');
  for (const side of sides) await run(side);
  const rounds = lab.quick ? 5 : 40;
  yield {
    figure: `\`ctr run --rm … true\`${which}`,
    unit: 'ms',
    goal: { most: 0.4 },
    ...(await sideBySide(rounds, run)),
  };

  const manyAtOnce = await sideBySide(lab.quick ? 1 : 5, (side) => fortyStarts(lab, side, flags));
  yield { figure: `40 detached starts, 8 at a time${which}`, unit: 'ms', goal: { most: 0.4 }, ...manyAtOnce };

  const box = freshName();
  for (const side of sides) await startSleeper(lab[side], box, flags);
  const exec = await sideBySide(rounds, (side) =>
    timedCtr(lab[side], 'tasks', 'exec', '--exec-id', freshName(), box, '/bin/true'),
  );
  for (const side of sides) await removeAll(lab[side], [box]);
  yield { figure: `\`ctr task exec … true\`${which}`, unit: 'ms', goal: { most: 0.5 }, ...exec };
}

async function fortyStarts(
  lab: Lab,
  side: 'berth' | 'containerd',
  flags: readonly string[],
): Promise<number> {
  const names = Array.from({ length: 40 }, freshName);
  const start = performance.now();
  await eightAtATime(names, (name) => startSleeper(lab[side], name, flags));
  const tookMs = performance.now() - start;
  await removeAll(lab[side], names);
  return tookMs;
}

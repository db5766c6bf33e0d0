import { readdirSync } from 'node:fs';
import type { Subject } from '../daemons.ts';
import { freshName, image, type Lab, removeAll, startSleeper, timedCtr, timedShell } from '../lab.ts';
import { type Row, sideBySide } from '../stats.ts';

const megabytes = 1024;

/** What containers write, and what is left behind by many starts and execs. */
export async function* output(lab: Lab): AsyncGenerator<Row> {
  const writes = await sideBySide(lab.quick ? 1 : 3, async (side) => {
    const dd = `/bin/dd if=/dev/zero bs=1M count=${megabytes}`;
    return (
      megabytes /
      ((await timedShell(
        lab[side],
        `$CTR run --rm ${image('small')} ${freshName()} ${dd} | cat >/dev/null`,
      )) /
        1000)
    );
  });
  yield {
    figure: `a container writes ${megabytes} MB to a FIFO that ctr reads`,
    unit: 'MB/s',
    goal: { least: 1 },
    ...writes,
  };
  const [execs, cycles] = lab.quick ? [50, 20] : [1000, 500];
  const before = await residue(lab.berth);
  const box = freshName();
  await startSleeper(lab.berth, box);
  for (let n = 0; n < execs; n++)
    await timedCtr(lab.berth, 'tasks', 'exec', '--exec-id', freshName(), box, '/bin/true');
  await removeAll(lab.berth, [box]);
  for (let n = 0; n < cycles; n++)
    await timedCtr(lab.berth, 'run', '--rm', image('small'), freshName(), '/bin/true');
  const after = await residue(lab.berth);
  const figure = (what: string) =>
    `${what} of berthd and shim after ${execs} execs and ${cycles} start/stop cycles, more than before`;
  yield { figure: figure('descriptors'), unit: '', goal: { limit: 4 }, berth: [after.fds - before.fds] };
  yield { figure: figure('threads'), unit: '', goal: { limit: 2 }, berth: [after.threads - before.threads] };
  yield { figure: figure('PSS'), unit: 'MB', goal: { limit: 8 }, berth: [after.memoryMb - before.memoryMb] };
}

async function residue(subject: Subject): Promise<{ fds: number; threads: number; memoryMb: number }> {
  await new Promise((resolve) => setTimeout(resolve, 20_000));
  const count = (name: string) =>
    subject.pids().reduce((sum, pid) => sum + readdirSync(`/proc/${pid}/${name}`).length, 0);
  return { fds: count('fd'), threads: count('task'), memoryMb: subject.memoryMb() };
}

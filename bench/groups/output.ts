import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
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
  yield* logs(lab);
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

/** containerd's shims write files as they are; their CRI format is the work of the kubelet's daemon. */
async function* logs(lab: Lab): AsyncGenerator<Row> {
  const growth: number[] = [];
  const write = async (side: 'berth' | 'containerd', scheme: string): Promise<number> => {
    const log = join(lab[side].dir, 'bench.log');
    const to = ['--log-uri', `${scheme}://${log}`, image('small')];
    const run = (...args: string[]) => timedCtr(lab[side], 'run', '--rm', ...to, freshName(), ...args);
    // Whoever writes logs in the shim has been started before.
    await run('/bin/true');
    const before = largestShim(lab[side].pids(), true);
    const tookMs = await run('/bin/dd', 'if=/dev/zero', 'bs=1M', `count=${megabytes}`);
    if (scheme === 'cri') growth.push(largestShim(lab[side].pids(), false) - before);
    rmSync(log, { force: true });
    return megabytes / (tookMs / 1000);
  };
  const rounds = lab.quick ? 1 : 3;
  const goal = { least: 1 };
  const figure = `a container writes ${megabytes} MB to a log`;
  const files = await sideBySide(rounds, (side) => write(side, 'file'));
  yield { figure: `${figure}: a plain file`, unit: 'MB/s', goal, ...files };
  const cri = await sideBySide(rounds, (side) => write(side, side === 'berth' ? 'cri' : 'file'));
  yield { figure: `${figure} in CRI format (containerd: a plain file)`, unit: 'MB/s', goal, ...cri };
  yield {
    figure: 'RSS of the shim meanwhile, more than before',
    unit: 'MB',
    goal: { limit: 16 },
    berth: growth,
  };
}

/** Largest resident set of any shim, in MB: now, and the high-water mark counts from here; or the mark since then. */
function largestShim(pids: readonly number[], reset: boolean): number {
  const [, ...shims] = pids;
  if (reset) for (const pid of shims) writeFileSync(`/proc/${pid}/clear_refs`, '5');
  const marks = shims.map(
    (pid) => /^VmHWM:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1],
  );
  return Math.max(0, ...marks.map(Number)) / 1024;
}

async function residue(subject: Subject): Promise<{ fds: number; threads: number; memoryMb: number }> {
  await new Promise((resolve) => setTimeout(resolve, 20_000));
  const count = (name: string) =>
    subject.pids().reduce((sum, pid) => sum + readdirSync(`/proc/${pid}/${name}`).length, 0);
  return { fds: count('fd'), threads: count('task'), memoryMb: subject.memoryMb() };
}

import { execFileSync } from 'node:child_process';
import { statfsSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { Version } from '../../src/gen/containerd/services/version/v1/version_pb.ts';
import { createClient, openChannel } from '../../src/rpc/grpc-client.ts';
import type { Subject } from '../daemons.ts';
import { image, type Lab, pull, removeImage, throttled, timedCtr } from '../lab.ts';
import { quantile, type Row, sideBySide } from '../stats.ts';

const sides = ['berth', 'containerd'] as const;

/** Pulls of images of several shapes, and what goes on beside them. Berth syncs what it acknowledges, containerd has its defaults. */
export async function* pulls(lab: Lab): AsyncGenerator<Row> {
  const rounds = lab.quick ? 1 : 3;
  const shapes = [
    ['big', 'pull and unpack, 458 MB in 6 layers of gzip', 0.25],
    ['zstd', 'pull and unpack, the same in zstd', 0.4],
    ['files', 'pull and unpack, one layer of 17,000 small files', 0.3],
    ['layers', 'pull and unpack, 60 small layers', 0.25],
  ] as const;
  for (const [name, figure, most] of shapes)
    yield {
      figure,
      unit: 's',
      goal: { most },
      ...(await sideBySide(rounds, (side) => pullOnce(lab[side], name))),
    };
  yield {
    figure: 'pull and unpack, gzip, the registry at 50 MB/s',
    unit: 's',
    ...(await sideBySide(rounds, (side) => pullOnce(lab[side], 'big', throttled))),
  };
  const four = await lab.containerd4();
  const versus = await sideBySide(rounds, (side) => pullOnce(side === 'berth' ? lab.berth : four, 'big'));
  yield {
    figure: 'pull and unpack, gzip, containerd with `max_concurrent_unpacks = 4`',
    unit: 's',
    goal: { most: 0.5 },
    ...versus,
  };
  yield {
    figure: 'remove that image until the bytes are gone',
    unit: 's',
    goal: { most: 0.1 },
    ...(await sideBySide(rounds, (side) => removal(lab[side]))),
  };
  yield {
    figure: '10 pulls of that image at once against one',
    unit: 'x',
    goal: { limit: 1.2 },
    berth: [await tenAtOnce(lab.berth)],
    containerd: [await tenAtOnce(lab.containerd)],
  };
  const peaks = [
    await lab.berth.peakMb(() => pullOnce(lab.berth, 'big')),
    await lab.containerd.peakMb(() => pullOnce(lab.containerd, 'big')),
  ];
  yield {
    figure: 'memory, RSS: peak of the daemon in a pull',
    unit: 'MB',
    goal: { limit: 250 },
    berth: peaks.slice(0, 1),
    containerd: peaks.slice(1),
  };
  yield* beside(lab);
  await sleep(20_000);
  const memory = (side: (typeof sides)[number]) => [lab[side].memoryMb()];
  yield {
    figure: 'memory, PSS: daemon and shims, after pulls',
    unit: 'MB',
    goal: { most: 1 },
    berth: memory('berth'),
    containerd: memory('containerd'),
  };
}

/** Seconds of a pull; the image is removed again. */
async function pullOnce(subject: Subject, name: string, at = image): Promise<number> {
  const ms = await pull(subject, name, at);
  await removeImage(subject, name, at);
  execFileSync('sync');
  return ms / 1000;
}

const freeMb = (subject: Subject): number => {
  const { bavail, bsize } = statfsSync(subject.dir);
  return (bavail * bsize) / 2 ** 20;
};

/** Until nine tenths of what the pull took are free again. */
async function removal(subject: Subject): Promise<number> {
  execFileSync('sync');
  const before = freeMb(subject);
  await pull(subject, 'big');
  execFileSync('sync');
  const wanted = before - (before - freeMb(subject)) / 10;
  const start = performance.now();
  await removeImage(subject, 'big');
  while (freeMb(subject) < wanted && performance.now() - start < 60_000) await sleep(2);
  return (performance.now() - start) / 1000;
}

async function tenAtOnce(subject: Subject): Promise<number> {
  const one = await pullOnce(subject, 'big');
  const start = performance.now();
  await Promise.all(Array.from({ length: 10 }, () => pull(subject, 'big')));
  const ten = (performance.now() - start) / 1000;
  await removeImage(subject, 'big');
  return ten / one;
}

/** How long small calls wait while a pull runs, which is how long the event loop was held. */
async function* beside(lab: Lab): AsyncGenerator<Row> {
  const p99 = { berth: [] as number[], containerd: [] as number[] };
  const list = { berth: [] as number[], containerd: [] as number[] };
  for (const side of sides) {
    const idle: number[] = [];
    for (let round = 0; round < 5; round++) idle.push(await timedCtr(lab[side], 'tasks', 'ls'));
    const pulling = { done: false };
    const pulled = pull(lab[side], 'big').finally(() => {
      pulling.done = true;
    });
    const calls = callsUntil(lab[side], pulling);
    const lists: number[] = [];
    while (!pulling.done) lists.push(await timedCtr(lab[side], 'tasks', 'ls'));
    await pulled;
    await removeImage(lab[side], 'big');
    p99[side].push(quantile(await calls, 0.99));
    list[side].push(quantile(lists, 0.5) / quantile(idle, 0.5));
  }
  yield { figure: 'a small call while pulling, p99', unit: 'ms', goal: { limit: 20 }, ...p99 };
  yield { figure: '`ctr tasks ls` while pulling against idle', unit: 'x', goal: { limit: 3 }, ...list };
}

async function callsUntil(subject: Subject, pulling: { readonly done: boolean }): Promise<number[]> {
  using channel = openChannel(subject.address);
  const client = createClient(Version, channel);
  const times: number[] = [];
  while (!pulling.done) {
    const start = performance.now();
    await client.version({});
    times.push(performance.now() - start);
    await sleep(5);
  }
  return times;
}

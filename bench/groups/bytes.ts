import { execFileSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Subject } from '../daemons.ts';
import { image, type Lab, pull, removeImage, timedCtr, timedShell } from '../lab.ts';
import { type Row, sideBySide } from '../stats.ts';

const megabytes = 1024;

/** Bytes through the content API, and files of a mounted image against the same in plain directories. */
export async function* bytes(lab: Lab): AsyncGenerator<Row> {
  const file = join(lab.dir, 'blob');
  execFileSync('sh', ['-ec', `head -c ${megabytes}M /dev/urandom >${file}`]);
  const digest = `sha256:${execFileSync('sha256sum', [file], { encoding: 'utf8' }).split(' ')[0]}`;
  const rounds = lab.quick ? 1 : 3;
  const rate = (ms: number) => megabytes / (ms / 1000);
  const write = async (side: 'berth' | 'containerd') => {
    const ms = await timedShell(lab[side], `$CTR content ingest --expected-digest ${digest} bench <${file}`);
    await timedCtr(lab[side], 'content', 'rm', digest);
    return rate(ms);
  };
  yield {
    figure: 'Content.Write of 1 GB (`ctr content ingest`)',
    unit: 'MB/s',
    goal: { least: 0.8 },
    ...(await sideBySide(rounds, write)),
  };
  for (const side of ['berth', 'containerd'] as const)
    await timedShell(
      lab[side],
      `$CTR content ingest --expected-digest ${digest} bench <${file} && $CTR content label ${digest} containerd.io/gc.root=1`,
    );
  const read = async (side: 'berth' | 'containerd') =>
    rate(await timedShell(lab[side], `$CTR content get ${digest} >/dev/null`));
  yield {
    figure: 'Content.Read of 1 GB (`ctr content get`)',
    unit: 'MB/s',
    goal: { least: 0.8 },
    ...(await sideBySide(rounds, read)),
  };
  yield* mounted(lab, rounds);
}

const readAll = (dir: string): string => `find ${dir} -type f -exec cat {} + >/dev/null`;
const walk = (dir: string): string => `find ${dir} -size +1k >/dev/null`;

async function* mounted(lab: Lab, rounds: number): AsyncGenerator<Row> {
  const dirs = { berth: await mountImage(lab.berth), containerd: await mountImage(lab.containerd) };
  const figures = [
    ['every file of the mounted image read, cold', readAll, true],
    ['every file of the mounted image read, warm', readAll, false],
    ['`find` over the mounted image, cold', walk, true],
    ['`find` over the mounted image, warm', walk, false],
  ] as const;
  for (const [figure, script, cold] of figures) {
    const measured = await sideBySide(rounds, async (side) => {
      if (cold) writeFileSync('/proc/sys/vm/drop_caches', '3');
      else await timedShell(lab[side], script(dirs[side]));
      return (await timedShell(lab[side], script(dirs[side]))) / 1000;
    });
    // At least nine tenths of the speed.
    yield {
      figure: `${figure} (containerd: plain directories)`,
      unit: 's',
      goal: { most: 1.11 },
      ...measured,
    };
  }
  for (const side of ['berth', 'containerd'] as const) {
    await timedCtr(lab[side], 'images', 'unmount', '--rm', dirs[side]);
    await removeImage(lab[side], 'big');
  }
}

async function mountImage(subject: Subject): Promise<string> {
  const dir = join(subject.dir, 'mounted');
  mkdirSync(dir, { recursive: true });
  await pull(subject, 'big');
  await timedCtr(subject, 'images', 'mount', image('big'), dir);
  return dir;
}

import { execFile } from 'node:child_process';
import { cpSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { TestDockerd } from '../../test/kit/dockerd.ts';
import { TestNetwork } from '../../test/kit/network.ts';
import type { Subject } from '../daemons.ts';
import { freshName, type Lab } from '../lab.ts';
import { type Row, sideBySide } from '../stats.ts';

const run = promisify(execFile);

/** What it takes to start containers through an unmodified dockerd, with its own store of images and with theirs. */
export async function* docker(lab: Lab): AsyncGenerator<Row> {
  for (const containerdStore of [false, true]) {
    await using stack = new AsyncDisposableStack();
    const both = {
      berth: await startDockerd(lab, lab.berth, 0, containerdStore, stack),
      containerd: await startDockerd(lab, lab.containerd, 1, containerdStore, stack),
    };
    const once = (side: keyof typeof both, ...words: string[]) => timedRun(both[side], words);
    const store = containerdStore ? ', containerd image store' : '';
    for (const [network, options] of Object.entries({ '': [], ', no network': ['--network', 'none'] })) {
      for (const side of ['berth', 'containerd'] as const) await once(side, ...options);
      const figures = await sideBySide(lab.quick ? 3 : 30, (side) => once(side, ...options));
      yield {
        figure: `\`docker run --rm … true\`${store}${network}`,
        unit: 'ms',
        goal: { most: 0.7 },
        ...figures,
      };
    }
  }
}

/** 28.5.2 in a network of its own, with an image of busybox called `small`. */
async function startDockerd(
  lab: Lab,
  { address }: Subject,
  index: number,
  containerdStore: boolean,
  stack: AsyncDisposableStack,
): Promise<TestDockerd> {
  const { wrapper } = stack.use(await TestNetwork.open(index));
  const dockerd = stack.use(
    new TestDockerd({ generation: 28, containerdStore, containerd: address, wrapper }),
  );
  await dockerd.start();
  const rootfs = join(lab.dir, freshName());
  mkdirSync(join(rootfs, 'bin'), { recursive: true });
  cpSync('/bin/busybox', join(rootfs, 'bin/true'));
  const script = `tar -C ${rootfs} -c . | docker import -c 'ENV PATH=/bin' - small`;
  await run('sh', ['-ec', script], { env: { ...process.env, ...dockerd.env } });
  return dockerd;
}

/** @returns milliseconds */
async function timedRun({ env }: TestDockerd, options: readonly string[]): Promise<number> {
  const start = performance.now();
  await run('docker', ['run', '--rm', ...options, 'small', 'true'], { env: { ...process.env, ...env } });
  return performance.now() - start;
}

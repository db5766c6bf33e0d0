import { Buildkit, buildkitd } from '../../test/kit/buildkit.ts';
import { image, type Lab } from '../lab.ts';
import { type Row, sideBySide } from '../stats.ts';

const steps = [
  `FROM ${image('small')}`,
  'WORKDIR /work',
  'COPY given first',
  'RUN ["dd", "if=/dev/zero", "of=/one", "bs=64k", "count=16"]',
  'RUN ["dd", "if=/dev/urandom", "of=/two", "bs=64k", "count=16"]',
  'RUN ["true"]',
  'COPY given second',
  'RUN ["dd", "if=/one", "of=/three", "bs=64k"]',
  'RUN ["dd", "if=/two", "of=/one", "bs=64k"]',
  'RUN ["dd", "if=first", "of=/four"]',
];

/** What `buildctl build` takes: a BuildKit 0.32 for each daemon, its containerd worker alone, the image into the daemon's store. */
export async function* build(lab: Lab): AsyncGenerator<Row> {
  if (buildkitd === undefined)
    throw new Error('there is no buildkitd: scripts/referees.sh builds it, with Go');
  await using berth = await start(lab, 'berth');
  await using containerd = await start(lab, 'containerd');
  const sides = { berth, containerd };
  const files = { Dockerfile: `${steps.join('\n')}\n`, given: 'given\n' };
  const timed = async (side: keyof typeof sides, ...more: string[]): Promise<number> => {
    const before = performance.now();
    await sides[side].build(files, '--output', `type=image,name=built:${side}`, ...more);
    return performance.now() - before;
  };
  for (const side of ['berth', 'containerd'] as const) await timed(side);
  yield {
    figure: '`buildctl build` of ten steps, nothing cached',
    unit: 'ms',
    goal: { most: 1 },
    ...(await sideBySide(lab.quick ? 2 : 15, (side) => timed(side, '--no-cache'))),
  };
  yield {
    figure: 'the same, all cached',
    unit: 'ms',
    goal: { most: 1 },
    ...(await sideBySide(lab.quick ? 2 : 15, (side) => timed(side))),
  };
}

const start = (lab: Lab, side: 'berth' | 'containerd'): Promise<Buildkit> =>
  new Buildkit({
    address: lab[side].address,
    namespace: 'buildkit',
    registry: image('small').split('/')[0] ?? '',
  }).start();

import { Controller, Store } from '../../../src/gen/containerd/services/sandbox/v1/sandbox_pb.ts';
import { type Maker, maker } from '../call.ts';
import { extensionKeys, namesOf, type World } from '../world.ts';

const any = (world: World) => ({ typeUrl: 'test/any', value: Buffer.from(world.name('container')) });

const sandbox = (world: World) => ({
  sandboxId: world.name('sandbox'),
  runtime: { name: 'io.containerd.runc.v2', ...(world.chance(0.3) && { options: any(world) }) },
  labels: world.labels(),
  sandboxer: 'shim',
  ...(world.chance(0.7) && { spec: any(world) }),
  ...(world.chance(0.5) && {
    extensions: Object.fromEntries(extensionKeys.map((key) => [key, any(world)])),
  }),
});

/** With all that an update could take away. */
const whole = (world: World) => ({
  ...sandbox(world),
  runtime: { name: 'io.containerd.runc.v2', options: any(world) },
  spec: any(world),
  extensions: Object.fromEntries(extensionKeys.map((key) => [key, any(world)])),
});

const paths = [
  'labels',
  'labels.a',
  'labels.a.b',
  'labels.ü',
  'extensions',
  'extensions.x',
  'spec',
  'runtime',
  'id',
];
const fields = (world: World) =>
  Array.from({ length: world.random.between(0, 2) }, () => world.random.pick(paths));

export const sandboxCalls: readonly Maker[] = [
  maker(Store, 'create', 3, (world) => ({ sandbox: sandbox(world) })),
  maker(Store, 'update', 4, (world) => ({ sandbox: whole(world), fields: fields(world) })),
  maker(Store, 'get', 2, (world) => ({ sandboxId: world.name('sandbox') })),
  maker(Store, 'list', 2, (world) => ({ filters: world.filters(['id', 'labels'], namesOf('sandbox')) })),
  maker(Store, 'delete', 1.5, (world) => ({ sandboxId: world.name('sandbox') })),
];

/** Controllers of sandboxes that do not run, and one that there is none of. */
const of = (world: World) => ({
  sandboxId: world.name('sandbox'),
  sandboxer: world.random.pick(['shim', 'shim', 'shim', '', 'none']),
});

export const controllerCalls: readonly Maker[] = [
  maker(Controller, 'create', 0.3, (world) => ({ ...of(world), sandboxer: world.random.pick(['', 'none']) })),
  maker(Controller, 'start', 0.3, of),
  maker(Controller, 'platform', 0.3, of),
  maker(Controller, 'stop', 0.3, of),
  maker(Controller, 'wait', 0.3, of),
  maker(Controller, 'status', 0.3, (world) => ({ ...of(world), verbose: world.chance(0.5) })),
  maker(Controller, 'shutdown', 0.3, of),
  maker(Controller, 'metrics', 0.3, of),
  maker(Controller, 'update', 0.3, (world) => ({
    ...of(world),
    sandbox: sandbox(world),
    fields: fields(world),
  })),
];

import { create, toBinary } from '@bufbuild/protobuf';
import { OptionsSchema } from '../../../src/gen/containerd/runc/v1/runc_pb.ts';
import { Containers } from '../../../src/gen/containerd/services/containers/v1/containers_pb.ts';
import { Tasks } from '../../../src/gen/containerd/services/tasks/v1/tasks_pb.ts';
import { type Maker, maker, type Perform } from '../call.ts';
import { bare } from '../words.ts';
import { namesOf, type World } from '../world.ts';

const [, , ending] = namesOf('task');
const [, endingExec] = namesOf('exec');
const sleep = ['/bin/sleep', '1000'];
const exit = (code: number) => ['/bin/sh', '-c', `exit ${code}`];

const json = (type: string, value: object) => ({
  typeUrl: `types.containerd.io/opencontainers/runtime-spec/1/${type}`,
  value: Buffer.from(JSON.stringify(value)),
});

const process = (args: readonly string[]) => ({
  user: { uid: 0, gid: 0 },
  args,
  cwd: '/',
  env: ['PATH=/bin'],
});

const spec = (world: World, id: string) =>
  json('Spec', {
    ociVersion: '1.0.2',
    process: process(id === ending ? exit(3) : sleep),
    root: { path: 'rootfs' },
    mounts: [{ destination: '/proc', type: 'proc', source: 'proc' }],
    linux: {
      namespaces: ['pid', 'mount', 'ipc', 'uts', 'network'].map((type) => ({ type })),
      // Of its own for every container, in whatever namespace it is.
      cgroupsPath: `/<name>-${id}-${world.random.between(0, 1e9)}`,
    },
  });

/** The same program on both sides, its state below each one's own directory. */
const options = {
  typeUrl: OptionsSchema.typeName,
  value: toBinary(OptionsSchema, create(OptionsSchema, { binaryName: 'runc', root: '<dir>/runc' })),
};

const container = (world: World) => {
  const id = world.name('task');
  return { id, runtime: { name: 'io.containerd.runc.v2', options }, spec: spec(world, id) };
};

const rootfs = { type: 'bind', source: '<dir>/rootfs', target: '', options: ['rbind', 'rw'] };
const of = (world: World) => ({ containerId: world.name('task') });
const exec = (world: World) => ({ ...of(world), execId: world.name('exec') });
const process_ = (world: World) => (world.chance(0.5) ? of(world) : exec(world));

/** What was answered, or why it was not, without the words of the error's kind. */
const settled = (answer: unknown): Promise<unknown> =>
  Promise.resolve(answer).catch(({ message }: Error) => ({ failed: bare(message) }));

/** Nothing of a paused container ends when it is killed, so none stays paused. */
const pauseAndResume: Perform = async (side, namespace, [request = {}]) => {
  const options = { namespace, deadlineMs: 20_000 };
  const { pause, get, start, resume } = side.methods(Tasks);
  return [
    await pause?.(request, options),
    await get?.(request, options),
    await settled(pause?.(request, options)),
    await settled(start?.(request, options)),
    await resume?.(request, options),
    await get?.(request, options),
    await settled(resume?.(request, options)),
  ];
};

/** Real containers: created, run, signalled, paused, waited for and deleted. Nothing reads or writes their streams. */
export const runningCalls: readonly Maker[] = [
  maker(Containers, 'create', 1.5, (world) => ({ container: container(world) })),
  maker(Containers, 'delete', 0.4, (world) => ({ id: world.name('task') })),
  maker(Tasks, 'create', 1.5, (world) => ({ ...of(world), rootfs: [rootfs] })),
  maker(Tasks, 'start', 1.5, of),
  maker(Tasks, 'start', 1.5, exec),
  maker(Tasks, 'exec', 1.5, (world) => {
    const named = exec(world);
    const ends = named.execId === endingExec;
    return { ...named, spec: json('Process', process(ends ? exit(7) : sleep)) };
  }),
  maker(Tasks, 'get', 1, process_),
  maker(Tasks, 'list', 0.5, () => ({})),
  maker(Tasks, 'kill', 1.5, (world) => ({
    ...process_(world),
    signal: world.random.pick([9, 9, 9, 0, 99]),
    all: world.chance(0.2),
  })),
  maker(Tasks, 'delete', 1, of),
  maker(Tasks, 'deleteProcess', 1, exec),
  { ...maker(Tasks, 'pause', 0.7, of), perform: pauseAndResume },
  maker(Tasks, 'resume', 0.3, of),
  maker(Tasks, 'listPids', 0.5, of),
  maker(Tasks, 'metrics', 0.3, (world) => ({ filters: [`id==${world.name('task')}`] })),
  maker(Tasks, 'update', 0.5, (world) => ({
    ...of(world),
    resources: json('LinuxResources', { pids: { limit: world.random.between(20, 40) } }),
  })),
  maker(Tasks, 'closeIO', 0.3, (world) => ({ ...process_(world), stdin: world.chance(0.5) })),
  maker(Tasks, 'resizePty', 0.3, (world) => ({ ...process_(world), width: 80, height: 25 })),
];

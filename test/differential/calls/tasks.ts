import { Tasks } from '../../../src/gen/containerd/services/tasks/v1/tasks_pb.ts';
import { type Maker, maker } from '../call.ts';
import type { World } from '../world.ts';

/** Containers without a task, and some that do not exist. */
const of = (world: World) => ({ containerId: world.chance(0.5) ? world.name('container') : 'absent' });
const exec = (world: World) => ({ ...of(world), ...(world.chance(0.5) && { execId: 'e' }) });

/** What a task that is not there answers; nothing is started. */
export const taskCalls: readonly Maker[] = [
  maker(Tasks, 'create', 0.5, () => ({ containerId: 'absent', rootfs: [{}] })),
  maker(Tasks, 'start', 0.5, exec),
  maker(Tasks, 'delete', 0.5, of),
  maker(Tasks, 'deleteProcess', 0.5, exec),
  maker(Tasks, 'get', 0.5, exec),
  maker(Tasks, 'list', 0.5, (world) => ({ filter: world.random.pick(['', 'id==x', 'a=b']) })),
  maker(Tasks, 'kill', 0.5, (world) => ({ ...exec(world), signal: world.random.between(0, 70) })),
  maker(Tasks, 'exec', 0.5, (world) => ({ ...of(world), execId: 'e' })),
  maker(Tasks, 'resizePty', 0.5, exec),
  maker(Tasks, 'closeIO', 0.5, exec),
  maker(Tasks, 'pause', 0.5, of),
  maker(Tasks, 'resume', 0.5, of),
  maker(Tasks, 'listPids', 0.5, of),
  maker(Tasks, 'checkpoint', 0.5, of),
  maker(Tasks, 'update', 0.5, of),
  maker(Tasks, 'metrics', 0.5, (world) => ({ filters: world.random.pick([[], ['id==x'], ['a=b']]) })),
  maker(Tasks, 'wait', 0.5, exec),
];

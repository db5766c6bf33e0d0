import { Tasks } from '../../src/gen/containerd/services/tasks/v1/tasks_pb.ts';
import type { Side } from './sides.ts';
import { namesOf } from './world.ts';

const deadlineMs = 10_000;

/** Ends and deletes all tasks. What ends or goes meanwhile is no error. */
export async function endTasks(side: Side): Promise<void> {
  for (const namespace of namesOf('namespace')) {
    const options = { namespace, deadlineMs };
    const { tasks } = await side.ask<{ tasks: readonly { id: string }[] }>(Tasks, 'list', {}, options);
    for (const { id: containerId } of tasks)
      for (const step of ['kill', 'wait', 'delete'])
        await side.ask(Tasks, step, { containerId, signal: 9, all: true }, options).catch(() => {});
  }
}

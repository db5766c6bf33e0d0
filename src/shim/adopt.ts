import { join } from 'node:path';
import { messageOf } from '../errors/error.ts';
import { bundlesDir } from '../rpc/ttrpc-shim.ts';
import { namesInSync } from '../sys/names-in.ts';
import { adoptProcesses } from './adopt-task.ts';
import type { FoundFds } from './fd-store.ts';
import { discardHalfMade } from './half-made.ts';
import { Task, type TaskSurroundings } from './task.ts';
import { readRecord, requestOf, waitsForRestore } from './task-record.ts';
import type { TaskTable } from './task-table.ts';

/**
 * Takes over every task that an earlier shim left in the state directory; one that cannot be is left alone and said.
 * What was only half made is undone.
 */
export async function adoptTasks(
  stateDir: string,
  tasks: TaskTable,
  around: TaskSurroundings,
): Promise<void> {
  const root = join(stateDir, bundlesDir);
  const found = around.fds.found();
  for (const namespace of namesInSync(root))
    for (const id of namesInSync(join(root, namespace)))
      await adoptBundle(join(root, namespace, id), tasks, around, found);
  around.fds.keepOnly(new Set(tasks.list('').flatMap(keysOf)));
}

async function adoptBundle(
  bundle: string,
  tasks: TaskTable,
  around: TaskSurroundings,
  found: ReadonlyMap<string, FoundFds>,
): Promise<void> {
  try {
    const record = readRecord(bundle);
    if (record === undefined) return;
    if (record.processes[0]?.pid === 0 && !waitsForRestore(record)) {
      await discardHalfMade(record);
      return around.log.info({ bundle }, 'half-made task undone');
    }
    const task = new Task(requestOf(record), around);
    await adoptProcesses(task, record, found);
    tasks.adopt(task);
    around.log.info({ bundle, status: task.init.status }, 'task adopted');
  } catch (error) {
    around.log.error({ bundle, error: messageOf(error) }, 'task cannot be adopted');
  }
}

const keysOf = ({ kept, processes }: Task): string[] => processes.map(({ execId }) => kept.keyOf(execId));

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Context, silentLog } from '../async/context.ts';
import { isKind, notFound } from '../errors/error.ts';
import type { ContainerStore } from '../metadata/container-store.ts';
import type { Tasks } from '../runtime/tasks.ts';
import type { CheckpointFiles } from '../transfer/checkpoint/checkpoint-files.ts';
import { tasksService } from './tasks.ts';

const ctx: Context = {
  signal: new AbortController().signal,
  namespace: 'test',
  log: silentLog,
  caller: { kind: 'test' },
};

test('closeIO of a task that is not there is not found, also when it closes nothing', async () => {
  const absent = async () => {
    throw notFound('task gone not found');
  };
  const tasks = { get: absent, closeStdin: absent } as unknown as Tasks;
  const store = { get: absent } as unknown as ContainerStore;
  const { closeIO } = tasksService(tasks, store, {} as CheckpointFiles).impl as {
    closeIO(request: object, ctx: Context): Promise<object>;
  };
  for (const stdin of [true, false])
    await assert.rejects(closeIO({ containerId: 'gone', execId: '', stdin }, ctx), (e) =>
      isKind(e, 'not_found'),
    );
});

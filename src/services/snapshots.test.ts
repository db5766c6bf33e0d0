import assert from 'node:assert/strict';
import { test } from 'node:test';
import { create } from '@bufbuild/protobuf';
import { type Context, daemonContext, silentLog } from '../async/context.ts';
import { isKind, messageOf } from '../errors/error.ts';
import {
  CommitSnapshotRequestSchema,
  Kind,
  ListSnapshotsRequestSchema,
  type ListSnapshotsResponse,
  PrepareSnapshotRequestSchema,
  StatSnapshotRequestSchema,
  UpdateSnapshotRequestSchema,
} from '../gen/containerd/services/snapshots/v1/snapshots_pb.ts';
import type { SnapshotInfo, Snapshotter } from '../snapshots/snapshotter.ts';
import { snapshotsService } from './snapshots.ts';

const ctx = daemonContext(silentLog, 'default');
const info = (name: string): SnapshotInfo => ({
  name,
  parent: '',
  kind: 'committed',
  createdAt: new Date(1000),
  updatedAt: new Date(2000),
  labels: { a: 'b' },
});

/** A snapshotter that only remembers what it was asked. */
function recording(calls: unknown[][]): Snapshotter {
  const note =
    <T>(name: string, answer: T) =>
    async (_ctx: Context, ...args: unknown[]): Promise<T> => {
      calls.push([name, ...args]);
      return answer;
    };
  const mounts = [{ type: 'bind', source: '/s', options: ['ro'] }];
  return {
    name: 'test',
    stat: note('stat', info('n')),
    update: note('update', info('n')),
    usage: note('usage', { sizeBytes: 2 ** 40, inodes: 3 }),
    mounts: note('mounts', mounts),
    prepare: note('prepare', mounts),
    view: note('view', mounts),
    commit: note('commit', undefined),
    remove: note('remove', undefined),
    list: note(
      'list',
      Array.from({ length: 250 }, (_, i) => info(`n${i}`)),
    ),
    cleanup: note('cleanup', undefined),
  };
}

type Call = (request: unknown, ctx: Context) => Promise<unknown>;

function serve(): { calls: unknown[][]; impl: Record<string, Call> } {
  const calls: unknown[][] = [];
  const { impl } = snapshotsService(new Map([['test', recording(calls)]]));
  return { calls, impl: impl as Record<string, Call> };
}

test('requests reach the snapshotter they name and come back as messages', async () => {
  const { calls, impl } = serve();
  const prepare = create(PrepareSnapshotRequestSchema, { snapshotter: 'test', key: 'k', parent: 'p' });
  assert.deepEqual(await impl.prepare?.(prepare, ctx), {
    mounts: [{ type: 'bind', source: '/s', target: '', options: ['ro'] }],
  });
  const stat = create(StatSnapshotRequestSchema, { snapshotter: 'test', key: 'n' });
  const answer = (await impl.stat?.(stat, ctx)) as { info: { kind: Kind; createdAt: { seconds: bigint } } };
  assert.deepEqual([answer.info.kind, answer.info.createdAt.seconds], [Kind.COMMITTED, 1n]);
  for (const parent of ['', 'p'])
    await impl.commit?.(
      create(CommitSnapshotRequestSchema, { snapshotter: 'test', name: 'n', key: 'k', parent }),
      ctx,
    );
  assert.deepEqual(
    calls.slice(2).map((call) => call.at(-1)),
    [{}, { parent: 'p' }],
  );
});

test('a list is sent a hundred at a time', async () => {
  const { impl } = serve();
  const request = create(ListSnapshotsRequestSchema, { snapshotter: 'test', filters: ['kind==active'] });
  const pages: number[] = [];
  const stream = impl.list?.(request, ctx) as unknown as AsyncIterable<ListSnapshotsResponse>;
  for await (const page of stream) pages.push(page.info.length);
  assert.deepEqual(pages, [100, 100, 50]);
});

test('a snapshotter that is not there, no name, and no info are invalid arguments in containerd’s words', async () => {
  const { impl } = serve();
  const stat = (snapshotter: string) => impl.stat?.(create(StatSnapshotRequestSchema, { snapshotter }), ctx);
  const invalid = (words: RegExp) => (error: unknown) =>
    isKind(error, 'invalid_argument') && words.test(messageOf(error));
  await assert.rejects(async () => stat('x'), invalid(/^snapshotter not loaded: x: invalid argument$/));
  await assert.rejects(async () => stat('__proto__'), invalid(/not loaded: __proto__/));
  await assert.rejects(async () => stat(''), invalid(/missing/));
  const update = create(UpdateSnapshotRequestSchema, { snapshotter: 'test' });
  await assert.rejects(async () => impl.update?.(update, ctx), invalid(/info must be set/));
});

import assert from 'node:assert/strict';
import {
  chmodSync,
  chownSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import type { Context } from '../async/context.ts';
import { type ErrorKind, kindOf } from '../errors/error.ts';
import { withTempMount } from '../sys/temp-mount.ts';
import type { Mount, Snapshotter } from './snapshotter.ts';

/** A snapshotter to be tested, empty, with a context to call it in. Disposing removes what it left. */
export interface SnapshotterSubject extends AsyncDisposable {
  /** Each snapshot is a copy of its parent: it takes as much and more, and cannot get another parent later. */
  readonly copies?: boolean;
  readonly snapshotter: Snapshotter;
  readonly ctx: Context;
}

const rejects = (promise: Promise<unknown>, kind: ErrorKind): Promise<void> =>
  assert.rejects(promise, (error) => {
    assert.equal(kindOf(error), kind, String(error));
    return true;
  });

type Change = (root: string) => void;
type Case = (subject: SnapshotterSubject) => Promise<void>;

const inside = (mounts: readonly Mount[], use: Change) => withTempMount(mounts, async (path) => use(path));

const put = (root: string, path: string, text: string): void => {
  mkdirSync(join(root, path, '..'), { recursive: true });
  writeFileSync(join(root, path), text);
};
const text = (root: string, path: string): string => readFileSync(join(root, path), 'utf8');

/** Prepares on `parent`, changes, commits as `name`. */
async function layer({ snapshotter, ctx }: SnapshotterSubject, name: string, parent: string, change: Change) {
  const key = `${name}-active`;
  await inside(await snapshotter.prepare(ctx, key, parent), change);
  await snapshotter.commit(ctx, name, key);
  return name;
}

/** Looks at a committed snapshot through a view, which is removed again. */
async function look({ snapshotter, ctx }: SnapshotterSubject, name: string, see: Change): Promise<void> {
  const key = `${name}-view-${Math.random()}`;
  try {
    await inside(await snapshotter.view(ctx, key, name), see);
  } finally {
    await snapshotter.remove(ctx, key);
  }
}

const cases: Record<string, Case> = {
  async Basic(subject) {
    const { snapshotter, ctx } = subject;
    const base = await layer(subject, 'base', '', (root) => {
      put(root, 'foo', 'foo\n');
      put(root, 'a/b/c/bar', 'bar\n');
    });
    const top = await layer(subject, 'top', base, (root) => {
      assert.equal(text(root, 'foo'), 'foo\n');
      put(root, 'foo', 'changed\n');
      rmSync(join(root, 'a/b'), { recursive: true });
      put(root, 'new', 'new\n');
    });
    await look(subject, base, (root) => assert.equal(text(root, 'a/b/c/bar'), 'bar\n'));
    await look(subject, top, (root) => {
      assert.deepEqual(readdirSync(root).sort(), ['a', 'foo', 'new']);
      assert.equal(text(root, 'foo'), 'changed\n');
      assert.deepEqual(readdirSync(join(root, 'a')), []);
    });
    const info = await snapshotter.stat(ctx, top);
    assert.deepEqual([info.name, info.parent, info.kind], [top, base, 'committed']);
    await rejects(snapshotter.stat(ctx, 'top-active'), 'not_found');
  },

  async StatActive({ snapshotter, ctx }) {
    await snapshotter.prepare(ctx, 'key', '', { color: 'red' });
    const info = await snapshotter.stat(ctx, 'key');
    assert.deepEqual([info.kind, info.parent, { ...info.labels }], ['active', '', { color: 'red' }]);
    assert.ok(Math.abs(info.createdAt.getTime() - Date.now()) < 60_000);
  },

  async StatCommitted({ snapshotter, ctx }) {
    await snapshotter.prepare(ctx, 'key', '', { kept: 'no' });
    await snapshotter.commit(ctx, 'name', 'key', { kept: 'yes' });
    const info = await snapshotter.stat(ctx, 'name');
    assert.deepEqual([info.kind, info.parent, { ...info.labels }], ['committed', '', { kept: 'yes' }]);
  },

  async Transitivity(subject) {
    const { snapshotter, ctx } = subject;
    const one = await layer(subject, 'one', '', (root) => put(root, 'a', '1'));
    await snapshotter.prepare(ctx, 'two-active', one);
    assert.equal((await snapshotter.stat(ctx, 'two-active')).parent, one);
    await snapshotter.commit(ctx, 'two', 'two-active');
    assert.equal((await snapshotter.stat(ctx, 'two')).parent, one);
    assert.equal((await snapshotter.stat(ctx, one)).parent, '');
  },

  async PrepareViewFailing(subject) {
    const { snapshotter, ctx } = subject;
    await snapshotter.prepare(ctx, 'active', '');
    await rejects(snapshotter.prepare(ctx, '', ''), 'invalid_argument');
    await rejects(snapshotter.prepare(ctx, 'active', ''), 'already_exists');
    await rejects(snapshotter.view(ctx, 'active', ''), 'already_exists');
    await rejects(snapshotter.prepare(ctx, 'x', 'nothing'), 'not_found');
    await rejects(snapshotter.view(ctx, 'x', 'nothing'), 'not_found');
    await rejects(snapshotter.prepare(ctx, 'x', 'active'), 'invalid_argument');
    await rejects(snapshotter.stat(ctx, 'x'), 'not_found');
  },

  async Update(subject) {
    const { snapshotter, ctx } = subject;
    const name = await layer(subject, 'base', '', () => {});
    await snapshotter.update(ctx, { name, labels: { a: '1', b: '2' } }, ['labels']);
    await snapshotter.update(ctx, { name, labels: { b: '3', c: 'not named' } }, ['labels.b']);
    assert.deepEqual({ ...(await snapshotter.stat(ctx, name)).labels }, { a: '1', b: '3' });
    const info = await snapshotter.update(ctx, { name, labels: { d: '4' } });
    assert.deepEqual({ ...info.labels }, { d: '4' });
    assert.ok(info.updatedAt >= info.createdAt);
    await rejects(snapshotter.update(ctx, { name, labels: {} }, ['parent']), 'invalid_argument');
    await rejects(snapshotter.update(ctx, { name: 'nothing', labels: {} }), 'not_found');
  },

  async Remove(subject) {
    const { snapshotter, ctx } = subject;
    await snapshotter.prepare(ctx, 'active', '');
    await snapshotter.remove(ctx, 'active');
    await rejects(snapshotter.stat(ctx, 'active'), 'not_found');
    await rejects(snapshotter.remove(ctx, 'active'), 'not_found');
    await rejects(snapshotter.mounts(ctx, 'active'), 'not_found');
    await snapshotter.prepare(ctx, 'active', '');
  },

  async RemoveIntermediateSnapshot(subject) {
    const { snapshotter, ctx } = subject;
    const base = await layer(subject, 'base', '', () => {});
    const top = await layer(subject, 'top', base, () => {});
    await snapshotter.view(ctx, 'view', top);
    await rejects(snapshotter.remove(ctx, base), 'failed_precondition');
    await rejects(snapshotter.remove(ctx, top), 'failed_precondition');
    for (const key of ['view', top, base]) await snapshotter.remove(ctx, key);
    assert.deepEqual(await snapshotter.list(ctx), []);
  },

  async DeletedFilesInChildSnapshot(subject) {
    const base = await layer(subject, 'base', '', (root) => {
      put(root, 'foo', '1');
      put(root, 'bar', '2');
    });
    const middle = await layer(subject, 'middle', base, (root) => unlinkSync(join(root, 'foo')));
    const top = await layer(subject, 'top', middle, (root) => {
      assert.ok(!existsSync(join(root, 'foo')));
      put(root, 'foo', 'again');
    });
    await look(subject, middle, (root) => assert.deepEqual(readdirSync(root), ['bar']));
    await look(subject, top, (root) => assert.equal(text(root, 'foo'), 'again'));
  },

  async MoveFileFromLowerLayer(subject) {
    const base = await layer(subject, 'base', '', (root) => put(root, 'dir1/f1', 'data'));
    const top = await layer(subject, 'top', base, (root) => {
      mkdirSync(join(root, 'dir2'));
      renameSync(join(root, 'dir1/f1'), join(root, 'dir2/f2'));
    });
    await look(subject, top, (root) => {
      assert.equal(text(root, 'dir2/f2'), 'data');
      assert.deepEqual(readdirSync(join(root, 'dir1')), []);
    });
  },

  async RenameDirectories(subject) {
    const base = await layer(subject, 'base', '', (root) => put(root, 'dir1/f1', 'data'));
    const top = await layer(subject, 'top', base, (root) => {
      mkdirSync(join(root, 'other'));
      renameSync(join(root, 'other'), join(root, 'dir2'));
      put(root, 'dir2/f2', 'more');
    });
    await look(subject, top, (root) => {
      assert.deepEqual(readdirSync(root).sort(), ['dir1', 'dir2']);
      assert.equal(text(root, 'dir2/f2'), 'more');
    });
  },

  async RemoveDirectoryInLowerLayer(subject) {
    const base = await layer(subject, 'base', '', (root) => put(root, 'dir/old', 'data'));
    const top = await layer(subject, 'top', base, (root) => {
      rmSync(join(root, 'dir'), { recursive: true });
      put(root, 'dir/new', 'fresh');
    });
    await look(subject, top, (root) => assert.deepEqual(readdirSync(join(root, 'dir')), ['new']));
  },

  async Chown(subject) {
    const base = await layer(subject, 'base', '', (root) => {
      put(root, 'f', 'x');
      chownSync(join(root, 'f'), 1, 2);
    });
    const top = await layer(subject, 'top', base, (root) => chownSync(join(root, 'f'), 3, 4));
    await look(subject, top, (root) => {
      const { uid, gid } = lstatSync(join(root, 'f'));
      assert.deepEqual([uid, gid], [3, 4]);
    });
    await look(subject, base, (root) => assert.equal(lstatSync(join(root, 'f')).uid, 1));
  },

  async DirectoryPermissionOnCommit(subject) {
    const base = await layer(subject, 'base', '', (root) => {
      for (const name of ['plain', 'sticky', 'owned']) mkdirSync(join(root, name));
      chmodSync(join(root, 'sticky'), 0o1777);
      chownSync(join(root, 'owned'), 5, 6);
    });
    const top = await layer(subject, 'top', base, (root) => {
      for (const name of ['sticky', 'owned']) put(root, `${name}/file`, 'x');
    });
    await look(subject, top, (root) => {
      assert.equal(statSync(join(root, 'sticky')).mode & 0o7777, 0o1777);
      assert.deepEqual([statSync(join(root, 'owned')).uid, statSync(join(root, 'owned')).gid], [5, 6]);
    });
  },

  async RootPermission(subject) {
    const { snapshotter, ctx } = subject;
    const mode = (root: string) => statSync(root).mode & 0o7777;
    const base = await layer(subject, 'base', '', (root) => {
      assert.equal(mode(root), 0o755);
      chmodSync(root, 0o777);
      chownSync(root, 7, 8);
    });
    const top = await layer(subject, 'top', base, (root) => assert.equal(mode(root), 0o777));
    await inside(await snapshotter.prepare(ctx, 'run', top), (root) => {
      assert.equal(mode(root), 0o777);
      assert.deepEqual([statSync(root).uid, statSync(root).gid], [7, 8]);
    });
  },

  async LayersMount128(subject) {
    const { snapshotter, ctx } = subject;
    let parent = '';
    for (let i = 0; i < 128; i++)
      parent = await layer(subject, `l${i}`, parent, (root) => put(root, `f${i}`, `${i}`));
    await inside(await snapshotter.prepare(ctx, 'run', parent), (root) => {
      assert.equal(readdirSync(root).length, 128);
      for (const i of [0, 63, 127]) assert.equal(text(root, `f${i}`), `${i}`);
      put(root, 'f0', 'written');
    });
    await look(subject, parent, (root) => assert.equal(text(root, 'f0'), '0'));
  },

  async ViewReadonly(subject) {
    const { snapshotter, ctx } = subject;
    const base = await layer(subject, 'base', '', (root) => put(root, 'f', '1'));
    const top = await layer(subject, 'top', base, (root) => put(root, 'g', '2'));
    for (const name of [base, top, ''])
      await inside(await snapshotter.view(ctx, `view of ${name}`, name), (root) =>
        assert.throws(() => writeFileSync(join(root, 'new'), ''), { code: 'EROFS' }),
      );
    await rejects(snapshotter.commit(ctx, 'x', `view of ${top}`), 'failed_precondition');
  },

  async CommitTwice(subject) {
    const { snapshotter, ctx } = subject;
    await layer(subject, 'base', '', () => {});
    await rejects(snapshotter.commit(ctx, 'again', 'base-active'), 'not_found');
    await rejects(snapshotter.commit(ctx, 'again', 'base'), 'failed_precondition');
    await snapshotter.prepare(ctx, 'other', '');
    await rejects(snapshotter.commit(ctx, 'base', 'other'), 'already_exists');
    assert.equal((await snapshotter.stat(ctx, 'other')).kind, 'active');
  },

  async CloseTwice(subject) {
    const { snapshotter, ctx } = subject;
    await layer(subject, 'base', '', () => {});
    await snapshotter.cleanup(ctx);
    await snapshotter.cleanup(ctx);
    await look(subject, 'base', () => {});
  },

  async Walk(subject) {
    const { snapshotter, ctx } = subject;
    const base = await layer(subject, 'base', '', () => {});
    await snapshotter.prepare(ctx, 'run', base, { app: 'web', tier: 'front' });
    await snapshotter.view(ctx, 'look', base, { app: 'db' });
    const names = async (...filters: string[]) =>
      (await snapshotter.list(ctx, filters)).map(({ name }) => name).sort();
    assert.deepEqual(await names(), ['base', 'look', 'run']);
    assert.deepEqual(await names('kind==active'), ['run']);
    assert.deepEqual(await names('kind==committed'), ['base']);
    assert.deepEqual(await names('parent==base'), ['look', 'run']);
    assert.deepEqual(await names('name==run', 'labels.app==db'), ['look', 'run']);
    assert.deepEqual(await names('labels.app==web,labels.tier==back'), []);
    await rejects(names('kind=='), 'invalid_argument');
  },

  async Usage(subject) {
    const { snapshotter, ctx, copies = false } = subject;
    const base = await layer(subject, 'base', '', (root) => put(root, 'big', 'x'.repeat(1 << 20)));
    const before = await snapshotter.usage(ctx, base);
    assert.ok(before.sizeBytes >= 1 << 20 && before.sizeBytes < 2 << 20, `${before.sizeBytes} bytes`);
    await inside(await snapshotter.prepare(ctx, 'run', base), (root) =>
      put(root, 'small', 'y'.repeat(1 << 16)),
    );
    const own = await snapshotter.usage(ctx, 'run');
    const copied = copies ? before.sizeBytes : 0;
    assert.ok(
      own.sizeBytes >= copied + (1 << 16) && own.sizeBytes < copied + (1 << 18),
      `${own.sizeBytes} bytes`,
    );
    assert.deepEqual([before.inodes, own.inodes], [2, copies ? 3 : 2]);
    await snapshotter.view(ctx, 'look', base);
    assert.deepEqual(await snapshotter.usage(ctx, 'look'), { sizeBytes: 0, inodes: 0 });
    await rejects(snapshotter.usage(ctx, 'nothing'), 'not_found');
  },

  async Rebase(subject) {
    const { snapshotter, ctx } = subject;
    const base = await layer(subject, 'base', '', (root) => put(root, 'lower', '1'));
    await inside(await snapshotter.prepare(ctx, 'loose', ''), (root) => put(root, 'upper', '2'));
    if (subject.copies)
      return rejects(snapshotter.commit(ctx, 'top', 'loose', {}, { parent: base }), 'failed_precondition');
    await snapshotter.commit(ctx, 'top', 'loose', {}, { parent: base });
    await look(subject, 'top', (root) => assert.deepEqual(readdirSync(root).sort(), ['lower', 'upper']));
    await snapshotter.prepare(ctx, 'based', base);
    await rejects(snapshotter.commit(ctx, 'x', 'based', {}, { parent: 'top' }), 'invalid_argument');
    await snapshotter.prepare(ctx, 'loose', '');
    await rejects(snapshotter.commit(ctx, 'x', 'loose', {}, { parent: 'nothing' }), 'not_found');
  },
};

/** What every snapshotter must do: containerd's snapshotter test suite by name, and our additions. Needs root. */
export function snapshotterSuite(title: string, open: () => Promise<SnapshotterSubject>): void {
  describe(`${title} keeps the snapshotter contract`, () => {
    for (const [name, run] of Object.entries(cases))
      test(name, async () => {
        await using subject = await open();
        await run(subject);
      });
  });
}

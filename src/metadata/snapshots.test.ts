import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type ErrorKind, kindOf, messageOf } from '../errors/error.ts';
import { MetadataSubject } from './subject.suite.ts';

const rejects = (promise: Promise<unknown>, kind: ErrorKind, words?: RegExp): Promise<void> =>
  assert.rejects(promise, (error) => {
    assert.equal(kindOf(error), kind, String(error));
    if (words) assert.match(messageOf(error), words);
    return true;
  });

test('snapshots stack, keep what they are and are removed from the top', async () => {
  await using subject = await MetadataSubject.open();
  const { snapshots: sn, driver } = subject;
  const ctx = subject.context();
  await sn.prepare(ctx, 'a', '', { x: '1', 'containerd.io/snapshot/uidmapping': '0:1:2' });
  assert.deepEqual(driver.directories.get(1)?.labels, { 'containerd.io/snapshot/uidmapping': '0:1:2' });
  await sn.commit(ctx, 'base', 'a', { y: '2' });
  await sn.prepare(ctx, 'b', 'base');
  await sn.commit(ctx, 'top', 'b');
  const mounts = await sn.prepare(ctx, 'run', 'top');
  assert.deepEqual(mounts[0]?.options, ['active', '2', '1']);
  assert.deepEqual(await sn.mounts(ctx, 'run'), mounts);
  await sn.view(ctx, 'look', 'top');
  const info = await sn.stat(ctx, 'base');
  assert.deepEqual([info.kind, info.parent, { ...info.labels }], ['committed', '', { y: '2' }]);
  assert.equal((await sn.stat(ctx, 'run')).parent, 'top');
  assert.deepEqual(await sn.usage(ctx, 'base'), { sizeBytes: 100, inodes: 2 });
  assert.deepEqual(await sn.usage(ctx, 'run'), { sizeBytes: 1, inodes: 1 });
  assert.deepEqual(
    (await sn.list(ctx, ['kind==view', 'name==base'])).map(({ name }) => name),
    ['base', 'look'],
  );
  assert.deepEqual(
    (await sn.list(ctx, ['parent==top'])).map(({ name }) => name),
    ['look', 'run'],
  );
  await rejects(sn.remove(ctx, 'top'), 'failed_precondition', /cannot remove snapshot with child/);
  for (const key of ['run', 'look', 'top', 'base']) await sn.remove(ctx, key);
  await sn.cleanup(ctx);
  assert.equal(driver.directories.size, 0);
  assert.deepEqual(await sn.list(ctx), []);
  const removes = ['/snapshot/remove', '/snapshot/remove', '/snapshot/remove', '/snapshot/remove'];
  const starts = [
    '/snapshot/prepare',
    '/snapshot/commit',
    '/snapshot/prepare',
    '/snapshot/commit',
    '/snapshot/prepare',
  ];
  assert.deepEqual(subject.events.topics(), [...starts, ...removes]);
});

test('misuse is refused with the right kind', async () => {
  await using subject = await MetadataSubject.open();
  const { snapshots: sn } = subject;
  const ctx = subject.context();
  await sn.prepare(ctx, 'active', '');
  await sn.prepare(ctx, 'tmp', '');
  await sn.commit(ctx, 'base', 'tmp');
  await sn.view(ctx, 'view', 'base');
  await rejects(sn.prepare(ctx, 'active', ''), 'already_exists');
  await rejects(sn.prepare(ctx, 'base', ''), 'already_exists');
  await rejects(sn.prepare(ctx, 'x', 'none'), 'not_found', /parent snapshot none does not exist/);
  await rejects(sn.prepare(ctx, 'x', 'active'), 'invalid_argument', /is not committed/);
  await rejects(sn.prepare(ctx, 'x', 'view'), 'invalid_argument');
  await rejects(sn.prepare(ctx, '', ''), 'invalid_argument');
  await rejects(sn.commit(ctx, 'base', 'active'), 'already_exists');
  await rejects(sn.commit(ctx, 'n', 'view'), 'failed_precondition');
  await rejects(sn.commit(ctx, 'n', 'base'), 'failed_precondition');
  await rejects(sn.commit(ctx, 'n', 'none'), 'not_found');
  await rejects(sn.mounts(ctx, 'base'), 'failed_precondition');
  await rejects(sn.stat(ctx, 'none'), 'not_found', /snapshot none does not exist/);
  await rejects(sn.update(ctx, { name: '', labels: {} }), 'invalid_argument', /name must not be empty/);
  await rejects(sn.remove(ctx, 'none'), 'not_found');
  await rejects(sn.update(ctx, { name: 'base', labels: {} }, ['parent']), 'invalid_argument');
  await rejects(sn.stat(subject.context('other'), 'base'), 'not_found');
  assert.equal((await sn.update(ctx, { name: 'base', labels: { a: 'b' } }, ['labels.a'])).labels.a, 'b');
});

test('one of many that prepare the same key wins', async () => {
  await using subject = await MetadataSubject.open();
  const ctx = subject.context();
  const results = await Promise.allSettled(
    Array.from({ length: 8 }, () => subject.snapshots.prepare(ctx, 'k', '')),
  );
  assert.equal(results.filter(({ status }) => status === 'fulfilled').length, 1);
  for (const result of results)
    if (result.status === 'rejected') assert.equal(kindOf(result.reason), 'already_exists');
  assert.equal(subject.driver.directories.size, 1);
});

test('a creation that fails leaves neither record nor directories', async () => {
  await using subject = await MetadataSubject.open();
  const { snapshots: sn, driver } = subject;
  const ctx = subject.context();
  driver.failure = new Error('disk on fire');
  await assert.rejects(sn.prepare(ctx, 'k', ''), /disk on fire/);
  driver.failure = undefined;
  await sn.cleanup(ctx);
  assert.equal(driver.directories.size, 0);
  await sn.prepare(ctx, 'k', '');
});

test('a creation that nobody waits for any more leaves nothing', async () => {
  await using subject = await MetadataSubject.open();
  const { snapshots: sn, driver } = subject;
  const caller = new AbortController();
  driver.creating = () => caller.abort(new Error('gone'));
  await assert.rejects(sn.prepare({ ...subject.context(), signal: caller.signal }, 'k', ''), /gone/);
  assert.deepEqual(await sn.list(subject.context()), []);
  await sn.cleanup(subject.context());
  assert.equal(driver.directories.size, 0);
});

test('a parentless snapshot can be put on a parent when it is committed', async () => {
  await using subject = await MetadataSubject.open();
  const { snapshots: sn } = subject;
  const ctx = subject.context();
  await sn.prepare(ctx, 'upper', '');
  await sn.prepare(ctx, 'lower', '');
  await sn.commit(ctx, 'l1', 'lower');
  await rejects(sn.commit(ctx, 'l2', 'upper', {}, { parent: 'none' }), 'not_found');
  await sn.commit(ctx, 'l2', 'upper', {}, { parent: 'l1' });
  assert.equal((await sn.stat(ctx, 'l2')).parent, 'l1');
  assert.deepEqual((await sn.view(ctx, 'v', 'l2'))[0]?.options, ['view', '1', '2']);
  await sn.prepare(ctx, 'x', 'l1');
  await rejects(sn.commit(ctx, 'l3', 'x', {}, { parent: 'l2' }), 'invalid_argument');
  await sn.commit(ctx, 'l3', 'x', {}, { parent: 'l1' });
});

test('a prepare whose target exists says so, and the lease holds what exists', async () => {
  await using subject = await MetadataSubject.open();
  const { snapshots: sn } = subject;
  const { leases } = subject.metadata;
  const ctx = subject.context();
  await sn.prepare(ctx, 'tmp', '');
  await sn.commit(ctx, 'chain', 'tmp');
  await leases.create(ctx, { id: 'l' });
  const leased = subject.context('testing', 'l');
  const labels = { 'containerd.io/snapshot.ref': 'chain' };
  await rejects(sn.prepare(leased, 'k', '', labels), 'already_exists', /target snapshot "chain"/);
  await rejects(sn.prepare(leased, 'chain', ''), 'already_exists');
  assert.deepEqual(await leases.listResources(ctx, 'l'), [{ id: 'chain', type: 'snapshots/overlayfs' }]);
  await sn.prepare(leased, 'mine', 'chain');
  await sn.commit(leased, 'result', 'mine');
  assert.deepEqual(
    (await leases.listResources(ctx, 'l')).map(({ id }) => id),
    ['chain', 'result'],
  );
  await rejects(sn.prepare(subject.context('testing', 'none'), 'y', ''), 'not_found', /lease does not exist/);
});

test('a start removes what a crash cut short, and numbers are never used twice', async () => {
  await using subject = await MetadataSubject.open();
  const ctx = subject.context();
  await subject.snapshots.prepare(ctx, 'kept', '');
  await subject.metadata.db.write((tx) =>
    tx.run(
      `INSERT INTO snapshots (namespace, snapshotter, name, kind, state, labels, created_at, updated_at)
       VALUES ('testing', 'overlayfs', 'half', 'active', 'preparing', '{}', 0, 0)`,
    ),
  );
  for (const id of [2, 7]) await subject.driver.create({ id, kind: 'active', parents: [], labels: {} });
  await rejects(subject.snapshots.stat(ctx, 'half'), 'not_found');
  const { reconciled } = await subject.restart();
  assert.equal(reconciled.halfMadeSnapshots, 1);
  assert.deepEqual([...subject.driver.directories.keys()], [1]);
  await subject.snapshots.prepare(ctx, 'half', '');
  assert.deepEqual([...subject.driver.directories.keys()], [1, 3]);
});

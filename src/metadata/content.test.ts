import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { contentStoreSuite } from '../content/content-store.suite.ts';
import { kindOf } from '../errors/error.ts';
import { parseDigest } from '../oci/digest.ts';
import { MetadataSubject } from './subject.suite.ts';

contentStoreSuite('content in the database and on disk', async () => {
  const subject = await MetadataSubject.open();
  return {
    store: subject.metadata.content,
    context: (namespace) => subject.context(namespace),
    restart: async () => (await subject.restart()).content,
    [Symbol.asyncDispose]: () => subject[Symbol.asyncDispose](),
  };
});

const data = Buffer.from('some bytes');
const expected = parseDigest(`sha256:${createHash('sha256').update(data).digest('hex')}`);

async function putIn(subject: MetadataSubject, namespace: string): Promise<void> {
  await using writer = await subject.metadata.content.writer(subject.context(namespace), { ref: 'r' });
  await writer.write(data);
  await writer.commit();
}

test('[CrossNamespaceIsolate, SharedNamespaceIsolate] isolated content needs its bytes, unless its namespace shares', async () => {
  await using subject = await MetadataSubject.open({ sharing: 'isolated' });
  const { content, namespaces } = subject.metadata;
  await putIn(subject, 'one');
  {
    await using writer = await content.writer(subject.context('two'), { ref: 'r', expected });
    assert.equal(writer.status.offset, 0);
  }
  const labels = { 'containerd.io/namespace.shareable': 'true' };
  await namespaces.update(subject.context(), { name: 'one', labels });
  await using writer = await content.writer(subject.context('three'), { ref: 'r', expected });
  assert.equal(writer.status.offset, data.length);
  assert.equal(await writer.commit(), expected);
});

test('an aborted writer cannot write or commit any more, and leaves nothing', async () => {
  await using subject = await MetadataSubject.open();
  const { content } = subject.metadata;
  const ctx = subject.context();
  await using writer = await content.writer(ctx, { ref: 'r' });
  await writer.write(data);
  await content.abort(ctx, 'r');
  await assert.rejects(writer.write(data), (error) => kindOf(error) === 'aborted');
  await assert.rejects(writer.commit(), (error) => kindOf(error) === 'aborted');
  assert.deepEqual(await content.list(ctx), []);
});

test('ingests of a deleted namespace are collected with their bytes', async () => {
  await using subject = await MetadataSubject.open();
  const { content, namespaces, gc, db } = subject.metadata;
  {
    await using writer = await content.writer(subject.context('gone'), { ref: 'r' });
    await writer.write(data);
  }
  await namespaces.delete(subject.context(), 'gone');
  await gc.collectNow();
  assert.equal(db.all('SELECT * FROM ingests').length, 0);
  assert.deepEqual(await namespaces.list(subject.context()), []);
});

test('a writer that takes another namespace’s bytes over removes what its ref had fetched before', async () => {
  await using subject = await MetadataSubject.open();
  const { content } = subject.metadata;
  const ctx = subject.context('two');
  {
    await using writer = await content.writer(ctx, { ref: 'r', expected });
    await writer.write(data.subarray(0, 4));
  }
  await putIn(subject, 'one');
  await using writer = await content.writer(ctx, { ref: 'r', expected });
  assert.equal(writer.status.offset, data.length);
  await writer.commit();
  assert.deepEqual(await readdir(join(subject.directory, 'content/ingest')), []);
});

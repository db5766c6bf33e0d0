import assert from 'node:assert/strict';
import { test } from 'node:test';
import { create } from '@bufbuild/protobuf';
import { kindOf } from '../errors/error.ts';
import {
  type Container,
  ContainerSchema,
  type Containers,
  GetContainerResponseSchema,
} from '../gen/containerd/services/containers/v1/containers_pb.ts';
import { type Image, ImageSchema } from '../gen/containerd/services/images/v1/images_pb.ts';
import { MetadataSubject } from '../metadata/subject.suite.ts';
import { decoder, encoder } from '../rpc/codec.ts';
import type { EncodedMessage } from '../rpc/encoded-message.ts';
import type { ServiceImpl } from '../rpc/service.ts';
import { containersService } from './containers.ts';
import { imagesService } from './images.ts';

type Call = (
  request: object,
  ctx: object,
) => Promise<{ image: Image; container: Container; images: Image[] }>;
const call =
  (impl: Readonly<Record<string, unknown>>, subject: MetadataSubject) =>
  async (method: string, request: object) =>
    (impl[method] as Call)(request, subject.context());
const target = { mediaType: 'm', digest: `sha256:${'a'.repeat(64)}`, size: 5n, annotations: { k: 'v' } };

test('images travel whole, by mask and with a given time', async () => {
  await using subject = await MetadataSubject.open();
  const images = call(imagesService(subject.metadata.images).impl, subject);
  const image = create(ImageSchema, { name: 'x', labels: { a: '1' }, target });
  const made = await images('create', { image, sourceDateEpoch: { seconds: 100n, nanos: 0 } });
  assert.equal(made.image.createdAt?.seconds, 100n);
  const masked = create(ImageSchema, { name: 'x', labels: { b: '2' } });
  const { image: updated } = await images('update', { image: masked, updateMask: { paths: ['labels.b'] } });
  assert.deepEqual({ ...updated.labels }, { a: '1', b: '2' });
  assert.equal(updated.target?.size, 5n);
  assert.deepEqual({ ...updated.target?.annotations }, { k: 'v' });
  assert.equal((await images('list', { filters: ['name==x'] })).images.length, 1);
  for (const bad of [undefined, create(ImageSchema, { target }), create(ImageSchema, { name: 'y' })]) {
    await assert.rejects(images('create', { image: bad }), (e) => kindOf(e) === 'invalid_argument');
  }
  await images('delete', { name: 'x', sync: true, target: create(ImageSchema, { target }).target });
  await assert.rejects(images('get', { name: 'x' }), (e) => kindOf(e) === 'not_found');
});

test('containers travel with every byte of their Anys, in a list and in a stream', async () => {
  await using subject = await MetadataSubject.open();
  const { impl } = containersService(subject.metadata.containers);
  const answers = call(impl, subject);
  const decode = decoder(GetContainerResponseSchema);
  const encode = encoder(GetContainerResponseSchema);
  const containers = async (method: string, request: object) => {
    const { container: answered } = decode(encode((await answers(method, request)) as never));
    assert.ok(answered);
    return { container: answered };
  };
  const spec = { typeUrl: 'types.containerd.io/x', value: new Uint8Array([0, 1, 255]) };
  const container = create(ContainerSchema, {
    id: 'c',
    runtime: { name: 'r', options: spec },
    spec,
    extensions: { e: spec },
    sandbox: 's',
  });
  const { container: made } = await containers('create', { container });
  for (const any of [made.spec, made.runtime?.options, made.extensions.e]) {
    assert.deepEqual([any?.typeUrl, [...(any?.value ?? [])]], ['types.containerd.io/x', [0, 1, 255]]);
  }
  assert.equal(made.sandbox, 's');
  const stream = impl.listStream as NonNullable<ServiceImpl<typeof Containers>['listStream']>;
  const streamed = (await Array.fromAsync(stream({ filters: [] } as never, subject.context()))).flat();
  assert.deepEqual(
    streamed.map((message) => decode(encode(message as EncodedMessage)).container?.id),
    ['c'],
  );
  const change = create(ContainerSchema, { id: 'c', labels: { l: '1' } });
  const { container: updated } = await containers('update', {
    container: change,
    updateMask: { paths: ['labels'] },
  });
  assert.deepEqual({ ...updated.labels }, { l: '1' });
  await assert.rejects(containers('update', { container: change }), (e) => kindOf(e) === 'invalid_argument');
  await answers('delete', { id: 'c' });
  await assert.rejects(containers('get', { id: 'c' }), (e) => kindOf(e) === 'not_found');
});

import { create, type DescMessage, type MessageInitShape, toBinary } from '@bufbuild/protobuf';
import { makeEvent } from '../../../src/events/topics.ts';
import { Events } from '../../../src/gen/containerd/services/events/v1/events_pb.ts';
import {
  StreamInitSchema,
  Streaming,
} from '../../../src/gen/containerd/services/streaming/v1/streaming_pb.ts';
import { Transfer } from '../../../src/gen/containerd/services/transfer/v1/transfer_pb.ts';
import {
  ImageExportStreamSchema,
  ImageImportStreamSchema,
  ImageStoreSchema,
  OCIRegistrySchema,
} from '../../../src/gen/containerd/types/transfer/transfer_pb.ts';
import { type Maker, maker } from '../call.ts';
import type { World } from '../world.ts';

const any = <D extends DescMessage>(desc: D, init: MessageInitShape<D>) => ({
  typeUrl: desc.typeName,
  value: toBinary(desc, create(desc, init)) as Uint8Array<ArrayBuffer>,
});

const store = (world: World) =>
  any(ImageStoreSchema, {
    name: world.chance(0.9) ? world.name('image') : '',
    labels: world.labels(),
    ...(world.chance(0.2) && {
      extraReferences: [{ name: world.name('image'), addDigest: world.chance(0.5), allowOverwrite: true }],
    }),
  });

/** Pairs that need no registry and no stream, or name a stream that is not there. */
const pair = (world: World) => {
  const missing = world.random.pick([
    any(ImageImportStreamSchema, { stream: 'nothing' }),
    any(ImageExportStreamSchema, { stream: 'nothing' }),
    any(OCIRegistrySchema, { reference: 'not a reference' }),
    { typeUrl: 'nothing/known', value: Uint8Array.of(1) },
  ]);
  return world.random.pick([
    { source: store(world), destination: store(world) },
    { source: store(world), destination: store(world) },
    { source: missing, destination: store(world) },
    { source: store(world), destination: missing },
    { source: missing, destination: missing },
  ]);
};

export const transferCalls: readonly Maker[] = [
  maker(Transfer, 'transfer', 4, (world) => ({
    ...pair(world),
    ...(world.chance(0.1) && { options: { progressStream: 'nothing' } }),
  })),
  maker(Streaming, 'stream', 0.3, (world) => [
    world.random.pick([any(StreamInitSchema, { id: '' }), any(ImageStoreSchema, {}), { typeUrl: '' }]),
  ]),
];

const event = (world: World) => {
  const { topic, event } = makeEvent('taskStart', { containerId: world.name('container'), pid: 3 });
  return { topic, event: { typeUrl: event.typeUrl, value: event.value as Uint8Array<ArrayBuffer> } };
};

export const eventCalls: readonly Maker[] = [
  maker(Events, 'publish', 2, event),
  maker(Events, 'forward', 2, (world) => ({
    envelope: { ...event(world), namespace: world.name('namespace'), timestamp: { seconds: 7n, nanos: 5 } },
  })),
];

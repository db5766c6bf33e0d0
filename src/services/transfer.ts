import type { Context } from '../async/context.ts';
import { notFound, notImplemented } from '../errors/error.ts';
import { Transfer } from '../gen/containerd/services/transfer/v1/transfer_pb.ts';
import type { ImageStore, OCIRegistry } from '../gen/containerd/types/transfer/transfer_pb.ts';
import { labelNames } from '../oci/label-names.ts';
import { bindService, type ServiceBinding } from '../rpc/service.ts';
import { ProgressSender } from '../rpc/stream-progress.ts';
import type { Streams } from '../rpc/streams.ts';
import type { ContainerPathParts } from '../transfer/container-path/container-root.ts';
import { copy } from '../transfer/copy.ts';
import type { TransferParts } from '../transfer/parts.ts';
import type { TransferProgress } from '../transfer/progress.ts';
import { pull } from '../transfer/pull.ts';
import { push } from '../transfer/push.ts';
import type { RegistryEndpoint } from '../transfer/registry-endpoint.ts';
import { tag } from '../transfer/tag.ts';
import { endpointOf } from './registry-endpoints.ts';
import { echo, exportTo, importFrom } from './transfer-archives.ts';
import {
  fromWirePlatform,
  type ImageStoreEnd,
  namesOf,
  parseEnd,
  platformsOf,
  type TransferEnd,
  unpacksOf,
} from './transfer-ends.ts';
import { pathTransfer } from './transfer-paths.ts';
import { type EndLabels, toWireProgress } from './transfer-progress.ts';

/**
 * The Transfer service: a registry to the image store is a pull, the image store to a registry a push, a registry to a
 * registry a copy, the image store to itself a tag, an import stream to the image store an import, the image store to an
 * export stream an export, and an import stream to an export stream comes back as it is. A container path is read to a
 * stream, written from one, and copied to another. Other pairs answer not_implemented in containerd's words, upon which
 * its clients fall back to doing the work themselves.
 */
export function transferService(
  parts: TransferParts,
  streams: Streams,
  reach: ContainerPathParts,
): ServiceBinding {
  return bindService(Transfer, {
    async transfer({ source, destination, options }, ctx) {
      const from = parseEnd(source, 'source');
      const to = parseEnd(destination, 'destination');
      if (options?.progressStream) streams.get(ctx, options.progressStream);
      if (from.kind === 'image store' && to.kind === 'image store') {
        await transferTag(parts, ctx, from, to);
        return {};
      }
      checkStreams(streams, ctx, from);
      checkStreams(streams, ctx, to);
      await using call = new AsyncDisposableStack();
      const started =
        startPath(parts, reach, streams, ctx, from, to) ??
        start(parts, streams, ctx, from, to, (end) => endpointOf(streams, ctx, end, call));
      if (started === undefined)
        throw notImplemented(
          `method Transfer not implemented for ${source?.typeUrl} to ${destination?.typeUrl}`,
        );
      await using progress = progressTo(streams, ctx, options?.progressStream ?? '');
      for await (const step of started.steps)
        for (const update of toWireProgress(step, started.labels, started.root)) progress.send(update);
      return {};
    },
  });
}

/** Archives' streams must be open before anything else is said, as in containerd. @throws not_found */
function checkStreams(streams: Streams, ctx: Context, end: TransferEnd): void {
  if (end.kind === 'import stream' || end.kind === 'export stream') streams.get(ctx, end.message.stream);
}

/** A transfer whose progress is worth telling. `root` is the name that objects without a parent hang under. */
interface Started {
  readonly steps: AsyncIterable<TransferProgress>;
  readonly labels: EndLabels;
  readonly root: string;
}

/** Undefined where neither end is in a container. */
function startPath(
  parts: TransferParts,
  reach: ContainerPathParts,
  streams: Streams,
  ctx: Context,
  from: TransferEnd,
  to: TransferEnd,
): Started | undefined {
  const steps = pathTransfer(parts, reach, streams, ctx, from, to);
  return steps && { steps, labels: { from: from.label, to: to.label }, root: '' };
}

/** Undefined for a pair that is none. @throws invalid_argument, not_found (a stream that was never opened) */
function start(
  parts: TransferParts,
  streams: Streams,
  ctx: Context,
  from: TransferEnd,
  to: TransferEnd,
  endpoint: (end: OCIRegistry) => RegistryEndpoint,
): Started | undefined {
  const labels = { from: from.label, to: to.label };
  if (from.kind === 'registry' && to.kind === 'image store') {
    const request = pullRequestOf(parts, from.message, to.message);
    return { steps: pull(parts, ctx, { ...endpoint(from.message), ...request }), labels, root: request.name };
  }
  if (from.kind === 'image store' && to.kind === 'registry') {
    const { name: image, platforms } = from.message;
    const request = { ...endpoint(to.message), image, platforms: platforms.map(fromWirePlatform) };
    return { steps: push(parts, ctx, request), labels, root: image };
  }
  if (from.kind === 'registry' && to.kind === 'registry') {
    const ends = { from: endpoint(from.message), to: endpoint(to.message) };
    return { steps: copy(parts, ctx, ends), labels, root: from.message.reference };
  }
  if (from.kind === 'import stream' && to.kind === 'image store')
    return { steps: importFrom(parts, streams, ctx, from, to), labels, root: '' };
  if (from.kind === 'image store' && to.kind === 'export stream')
    return { steps: exportTo(parts, streams, ctx, from, to), labels, root: '' };
  if (from.kind === 'import stream' && to.kind === 'export stream')
    return { steps: echo(parts, streams, ctx, from, to), labels, root: '' };
  return undefined;
}

function pullRequestOf(parts: TransferParts, { reference }: OCIRegistry, store: ImageStore) {
  const [name, ...extraNames] = namesOf(store);
  if (name === undefined) throw notFound('no image name found: not found');
  return {
    reference,
    name,
    extraNames,
    labels: store.labels,
    platforms: platformsOf(store),
    unpack: unpacksOf(store, parts.platform),
    allMetadata: store.allMetadata,
    manifestLimit: store.manifestLimit,
  };
}

async function transferTag(
  { images }: TransferParts,
  ctx: Context,
  from: ImageStoreEnd,
  to: ImageStoreEnd,
): Promise<void> {
  const names = namesOf(to.message);
  if (names.length === 0) throw notFound('no image name found: not found');
  const { target } = await images.get(ctx, from.message.name);
  for (const name of names)
    await tag(images, ctx, from.message.name, {
      name: name.replaceAll('{digest}', target.digest),
      labels: name === to.message.name ? to.message.labels : extraLabels(to.message),
    });
}

/** A further name of an image goes when the image does: it expires at once, and refers back. As containerd 2.3 does. */
const extraLabels = ({ name, labels }: ImageStore): Record<string, string> =>
  name === ''
    ? labels
    : { ...labels, [labelNames.imageBackReference]: name, [labelNames.expire]: new Date().toISOString() };

interface Progress extends AsyncDisposable {
  send: ProgressSender['send'];
}

/** How long a client that has stopped reading its progress may hold up the answer. */
const lingerMs = 2_000;

/** @throws not_found (a stream that was never opened) */
function progressTo(streams: Streams, ctx: Context, id: string): Progress {
  if (id === '') return { send: () => {}, [Symbol.asyncDispose]: async () => {} };
  const stream = streams.get(ctx, id);
  const sender = new ProgressSender(stream);
  return {
    send: (update) => sender.send(update),
    async [Symbol.asyncDispose]() {
      const timer = setTimeout(() => stream.close(), lingerMs);
      await sender[Symbol.asyncDispose]();
      clearTimeout(timer);
    },
  };
}

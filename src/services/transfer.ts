import type { Context } from '../async/context.ts';
import { invalidArgument, notFound, notImplemented } from '../errors/error.ts';
import { Transfer } from '../gen/containerd/services/transfer/v1/transfer_pb.ts';
import { bindService, type ServiceBinding } from '../rpc/service.ts';
import { ProgressSender } from '../rpc/stream-progress.ts';
import type { Streams } from '../rpc/streams.ts';
import type { TransferParts } from '../transfer/parts.ts';
import { pull } from '../transfer/pull.ts';
import { tag } from '../transfer/tag.ts';
import { authStreamCredentials } from './transfer-auth.ts';
import {
  type ImageStoreEnd,
  namesOf,
  parseEnd,
  platformsOf,
  type RegistryEnd,
  type TransferEnd,
  unpacksOf,
} from './transfer-ends.ts';
import { toWireProgress } from './transfer-progress.ts';

/**
 * The Transfer service: a registry to the image store is a pull, the image store to itself is a tag. Other pairs answer
 * not_implemented in containerd's words, upon which its clients fall back to doing the work themselves.
 */
export function transferService(parts: TransferParts, streams: Streams): ServiceBinding {
  return bindService(Transfer, {
    async transfer({ source, destination, options }, ctx) {
      const from = parseEnd(source, 'source');
      const to = parseEnd(destination, 'destination');
      if (from.kind === 'registry' && to.kind === 'image store')
        await transferPull(parts, streams, ctx, from, to, options?.progressStream ?? '');
      else if (from.kind === 'image store' && to.kind === 'image store')
        await transferTag(parts, ctx, from, to);
      else throw unable(from, to);
      return {};
    },
  });
}

const unable = (from: TransferEnd, to: TransferEnd) =>
  notImplemented(`unable to transfer from ${from.label} to ${to.label}: not implemented`);

async function transferPull(
  parts: TransferParts,
  streams: Streams,
  ctx: Context,
  { message, label }: RegistryEnd,
  { message: store }: ImageStoreEnd,
  progressStream: string,
): Promise<void> {
  await using progress = progressTo(streams, ctx, progressStream);
  const { resolver, reference } = message;
  const [name, ...extraNames] = namesOf(store);
  if (name === undefined) throw notFound('no image name found: not found');
  const steps = pull(parts, ctx, {
    reference,
    name,
    extraNames,
    labels: store.labels,
    platforms: platformsOf(store),
    unpack: unpacksOf(store, parts.platform),
    allMetadata: store.allMetadata,
    headers: resolver?.headers ?? {},
    hostsDir: resolver?.hostDir || undefined,
    defaultScheme: schemeOf(resolver?.defaultScheme ?? ''),
    ...(resolver?.authStream && {
      credentials: authStreamCredentials(streams.get(ctx, resolver.authStream)),
    }),
  });
  for await (const step of steps)
    for (const update of toWireProgress(step, label, name)) progress.send(update);
}

function schemeOf(scheme: string): 'http' | 'https' | undefined {
  if (scheme === '') return undefined;
  if (scheme === 'http' || scheme === 'https') return scheme;
  throw invalidArgument(`default scheme ${JSON.stringify(scheme)}, allowed: http, https`);
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
      labels: to.message.labels,
    });
}

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

import { setTimeout as sleep } from 'node:timers/promises';
import type { Context } from '../async/context.ts';
import { notFound } from '../errors/error.ts';
import { ByteSender, receiveBytes } from '../rpc/byte-stream.ts';
import type { NamedStream } from '../rpc/named-stream.ts';
import type { Streams } from '../rpc/streams.ts';
import { exportImages } from '../transfer/archive/export.ts';
import { importImages } from '../transfer/archive/import.ts';
import type { TransferParts } from '../transfer/parts.ts';
import type { TransferProgress } from '../transfer/progress.ts';
import { reporting } from '../transfer/reporting.ts';
import {
  type ExportEnd,
  fromWirePlatform,
  type ImageStoreEnd,
  type ImportEnd,
  platformsOf,
  prefixesOf,
  unpacksOf,
} from './transfer-ends.ts';

type Steps = AsyncIterable<TransferProgress>;

/** @throws not_found (a stream that was never opened) */
export function importFrom(
  parts: TransferParts,
  streams: Streams,
  ctx: Context,
  { message: { stream, forceCompress } }: ImportEnd,
  { message: store }: ImageStoreEnd,
): Steps {
  return importImages(parts, ctx, {
    source: receiveBytes(streams.get(ctx, stream)),
    names: prefixesOf(store),
    indexName: store.name || undefined,
    labels: store.labels,
    platforms: platformsOf(store),
    unpack: unpacksOf(store, parts.platform),
    compress: forceCompress,
  });
}

/** @throws not_found (a stream that was never opened, no image named) */
export function exportTo(
  parts: TransferParts,
  streams: Streams,
  ctx: Context,
  { message: { name, extraReferences } }: ImageStoreEnd,
  { message: to }: ExportEnd,
): Steps {
  const names = [...(name === '' ? [] : [name]), ...extraReferences.map((reference) => reference.name)];
  if (names.length === 0) throw notFound('no image name found: not found');
  const { allPlatforms, platforms, skipCompatibilityManifest, skipNonDistributable } = to;
  const request = {
    names,
    platforms: allPlatforms
      ? ('all' as const)
      : platforms.length > 0
        ? platforms.map(fromWirePlatform)
        : undefined,
    skipDockerManifest: skipCompatibilityManifest,
    skipNonDistributable,
  };
  const stream = streams.get(ctx, to.stream);
  const sender = new ByteSender(stream);
  return reporting(parts, ctx, { verb: 'export', name: names.join(' ') }, (inner, report) =>
    sending(stream, () => exportImages(parts, inner, request, (chunk) => sender.write(chunk), report)),
  );
}

/** Sends back what comes: containerd's clients test their streams with it. */
export function echo(
  parts: TransferParts,
  streams: Streams,
  ctx: Context,
  { message: from }: ImportEnd,
  { message: to }: ExportEnd,
): Steps {
  const source = receiveBytes(streams.get(ctx, from.stream));
  const stream = streams.get(ctx, to.stream);
  const sender = new ByteSender(stream);
  return reporting(parts, ctx, { verb: 'export', name: '' }, () =>
    sending(stream, async () => {
      for await (const chunk of source) await sender.write(chunk);
    }),
  );
}

/** Clients of containerd end when the call does, be their last bytes written or not: so it comes a moment later. */
const lastBytesMs = 100;

/** Ends the stream whether or not the work succeeds; on success, once everything is on its way. */
export async function sending(stream: NamedStream, work: () => Promise<void>): Promise<void> {
  try {
    await work();
    await stream.finish();
    await sleep(lastBytesMs);
  } finally {
    stream.close();
  }
}

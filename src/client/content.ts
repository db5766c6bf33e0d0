import type { Context } from '../async/context.ts';
import type { ContentInfo, ContentReader, ContentStore, IngestStatus } from '../content/store.ts';
import { dataLoss, outOfRange, resourceExhausted } from '../errors/error.ts';
import {
  Content as ContentService,
  type Info as WireInfo,
  type Status as WireStatus,
} from '../gen/containerd/services/content/v1/content_pb.ts';
import { type Digest, parseDigest } from '../oci/digest.ts';
import type { Connection } from './connection.ts';
import { openWriter } from './content-writer.ts';
import { toDate, toSize } from './convert.ts';

function fromInfo(wire: WireInfo | undefined): ContentInfo {
  if (wire === undefined) throw dataLoss('daemon sent no content info');
  return {
    digest: parseDigest(wire.digest),
    sizeBytes: toSize(wire.size),
    createdAt: toDate(wire.createdAt),
    updatedAt: toDate(wire.updatedAt),
    labels: { ...wire.labels },
  };
}

function fromStatus(wire: WireStatus | undefined): IngestStatus {
  if (wire === undefined) throw dataLoss('daemon sent no ingest status');
  return {
    ref: wire.ref,
    offset: toSize(wire.offset),
    total: toSize(wire.total),
    ...(wire.expected === '' ? {} : { expected: parseDigest(wire.expected) }),
    startedAt: toDate(wire.startedAt),
    updatedAt: toDate(wire.updatedAt),
  };
}

/** The daemon's content store, spoken over the wire: the contract is {@link ContentStore}'s. */
export function remoteContent(connection: Connection): ContentStore {
  const service = connection.service(ContentService);
  const on = (ctx: Context) => connection.context(ctx);
  return {
    async info(ctx, digest) {
      return fromInfo((await service.info({ digest }, on(ctx))).info);
    },
    async update(ctx, info, fieldPaths) {
      const mask = fieldPaths === undefined ? {} : { updateMask: { paths: [...fieldPaths] } };
      const request = { info: { digest: info.digest, labels: { ...info.labels } }, ...mask };
      return fromInfo((await service.update(request, on(ctx))).info);
    },
    async list(ctx, filters = []) {
      const found: ContentInfo[] = [];
      for await (const page of service.list({ filters: [...filters] }, on(ctx))) {
        for (const info of page.info) found.push(fromInfo(info));
      }
      return found;
    },
    async delete(ctx, digest) {
      await service.delete({ digest }, on(ctx));
    },
    async reader(ctx, digest) {
      const info = await this.info(ctx, digest);
      return remoteReader(connection, ctx, digest, info.sizeBytes);
    },
    async status(ctx, ref) {
      return fromStatus((await service.status({ ref }, on(ctx))).status);
    },
    async listStatuses(ctx, filters = []) {
      const response = await service.listStatuses({ filters: [...filters] }, on(ctx));
      return response.statuses.map(fromStatus);
    },
    writer: (ctx, options) => openWriter(connection, ctx, options),
    async abort(ctx, ref) {
      await service.abort({ ref }, on(ctx));
    },
  };
}

function remoteReader(
  connection: Connection,
  ctx: Context,
  digest: Digest,
  sizeBytes: number,
): ContentReader {
  return {
    sizeBytes,
    stream: (offset = 0, end = sizeBytes) => readRange(connection, ctx, digest, { offset, end, sizeBytes }),
    async bytes(limitBytes) {
      if (sizeBytes > limitBytes) {
        throw resourceExhausted(`content ${digest} has ${sizeBytes} bytes, more than ${limitBytes}`);
      }
      const chunks: Uint8Array[] = [];
      for await (const chunk of this.stream()) chunks.push(chunk);
      return Buffer.concat(chunks);
    },
    async [Symbol.asyncDispose]() {},
  };
}

async function* readRange(
  connection: Connection,
  ctx: Context,
  digest: Digest,
  range: { offset: number; end: number; sizeBytes: number },
): AsyncGenerator<Uint8Array, void, void> {
  const end = Math.min(range.end, range.sizeBytes);
  if (range.offset < 0 || range.offset > range.sizeBytes) {
    throw outOfRange(`offset ${range.offset} is outside content ${digest} of ${range.sizeBytes} bytes`);
  }
  if (end <= range.offset) return;
  let at = range.offset;
  const request = { digest, offset: BigInt(at), size: BigInt(end - at) };
  for await (const part of connection.service(ContentService).read(request, connection.context(ctx))) {
    at += part.data.byteLength;
    if (at > end) throw dataLoss(`daemon sent more of content ${digest} than was asked for`);
    yield part.data;
  }
  if (at !== end) throw dataLoss(`content ${digest} ended at ${at} of ${end} bytes`);
}

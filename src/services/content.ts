import type { Context } from '../async/context.ts';
import type { ContentInfo, ContentStore, IngestStatus } from '../content/store.ts';
import { invalidArgument, outOfRange, wrap } from '../errors/error.ts';
import { Content } from '../gen/containerd/services/content/v1/content_pb.ts';
import { type Digest, isDigest } from '../oci/digest.ts';
import { bindService, type ServiceBinding } from '../rpc/service.ts';
import { writeContent } from './content-write.ts';
import { toTimestamp } from './wire.ts';

const infosPerMessage = 100;

/** The Content service. Read sends at most a megabyte a message; Write is {@link writeContent}. */
export function contentService(store: ContentStore): ServiceBinding {
  return bindService(Content, {
    async info({ digest }, ctx) {
      return { info: infoToWire(await store.info(ctx, digestOf(digest))) };
    },
    async update({ info, updateMask }, ctx) {
      const wanted = { digest: digestOf(info?.digest ?? ''), labels: info?.labels ?? {} };
      return { info: infoToWire(await store.update(ctx, wanted, updateMask?.paths)) };
    },
    async *list({ filters }, ctx) {
      const infos = await store.list(ctx, filters);
      for (let i = 0; i < infos.length; i += infosPerMessage) {
        yield { info: infos.slice(i, i + infosPerMessage).map(infoToWire) };
      }
    },
    async delete({ digest }, ctx) {
      await store.delete(ctx, digestOf(digest));
      return {};
    },
    async *read({ digest, offset, size }, ctx) {
      await using reader = await store.reader(ctx, digestOf(digest));
      const { sizeBytes } = reader;
      if (offset > BigInt(sizeBytes)) throw outOfRange(`read past object length ${sizeBytes} bytes`);
      const from = offset > 0n ? Number(offset) : 0;
      const to = size > 0n && size < BigInt(sizeBytes) ? Math.min(sizeBytes, from + Number(size)) : sizeBytes;
      // Offsets count from the start of the answer, as containerd's do.
      let sent = 0;
      for await (const data of reader.stream(from, to)) {
        yield { offset: BigInt(sent), data: data as Uint8Array<ArrayBuffer> };
        sent += data.length;
      }
    },
    async status({ ref }, ctx) {
      return { status: statusToWire(await statusOf(store, ref, ctx)) };
    },
    async listStatuses({ filters }, ctx) {
      return { statuses: (await store.listStatuses(ctx, filters)).map(statusToWire) };
    },
    write: (requests, ctx) => writeContent(store, requests, ctx),
    async abort({ ref }, ctx) {
      await store.abort(ctx, ref);
      return {};
    },
  });
}

async function statusOf(store: ContentStore, ref: string, ctx: Context): Promise<IngestStatus> {
  try {
    return await store.status(ctx, ref);
  } catch (error) {
    throw wrap(error, `could not get status for ref ${JSON.stringify(ref)}`);
  }
}

function digestOf(text: string): Digest {
  if (isDigest(text)) return text;
  throw invalidArgument(`${JSON.stringify(text)} failed validation`);
}

const infoToWire = (info: ContentInfo) => ({
  digest: info.digest,
  size: BigInt(info.sizeBytes),
  createdAt: toTimestamp(info.createdAt),
  updatedAt: toTimestamp(info.updatedAt),
  labels: { ...info.labels },
});

const statusToWire = (status: IngestStatus) => ({
  ref: status.ref,
  offset: BigInt(status.offset),
  total: BigInt(status.total),
  expected: status.expected ?? '',
  startedAt: toTimestamp(status.startedAt),
  updatedAt: toTimestamp(status.updatedAt),
});

import type { ContentInfo, ContentStore, IngestStatus } from '../content/store.ts';
import { invalidArgument, outOfRange } from '../errors/error.ts';
import { Content } from '../gen/containerd/services/content/v1/content_pb.ts';
import { type Digest, isDigest } from '../oci/digest.ts';
import { bindService, type ServiceBinding } from '../rpc/service.ts';
import { writeContent } from './content-write.ts';
import { toSafeNumber } from './descriptor-wire.ts';
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
      const from = Math.max(0, toSafeNumber(offset, 'offset'));
      if (from > reader.sizeBytes) throw outOfRange(`read past object length ${reader.sizeBytes} bytes`);
      const wanted = toSafeNumber(size, 'size');
      const to = wanted <= 0 ? reader.sizeBytes : Math.min(reader.sizeBytes, from + wanted);
      // Offsets count from the start of the answer, as containerd's do.
      let sent = 0;
      for await (const data of reader.stream(from, to)) {
        yield { offset: BigInt(sent), data: data as Uint8Array<ArrayBuffer> };
        sent += data.length;
      }
    },
    async status({ ref }, ctx) {
      return { status: statusToWire(await store.status(ctx, ref)) };
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

function digestOf(text: string): Digest {
  if (isDigest(text)) return text;
  throw invalidArgument(`${JSON.stringify(text.slice(0, 200))} failed validation`);
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

import { invalidArgument } from '../errors/error.ts';
import { Storage as Service, type Resource as WireResource } from '../gen/berth/v1/storage_pb.ts';
import type { NodeType } from '../metadata/changes.ts';
import { bindService, type ServiceBinding } from '../rpc/service.ts';
import type { Finding, PruneRequest, Resource, Storage, UsageItem, WhySubject } from '../storage/storage.ts';
import { fromTimestamp, toTimestamp } from './wire.ts';

/** berth.v1.Storage: what is on disk, over the wire. */
export function storageService(storage: Storage): ServiceBinding {
  return bindService(Service, {
    async usage(_request, ctx) {
      const { root, diskBytes, parts, items } = await storage.usage(ctx);
      return {
        root,
        diskBytes: BigInt(diskBytes),
        parts: parts.map((part) => ({ name: part.name, diskBytes: BigInt(part.diskBytes) })),
        items: items.map(itemToWire),
      };
    },
    async why({ target }, ctx) {
      if (target === '') throw invalidArgument('target must be set');
      return { subjects: (await storage.why(ctx, target)).map(subjectToWire) };
    },
    async prune({ until, only, ...request }, ctx) {
      const wanted: PruneRequest = {
        ...request,
        until: until && fromTimestamp(until),
        only: only.length === 0 ? undefined : only.map(resourceFromWire),
      };
      const { items, freedBytes } = await storage.prune(ctx, wanted);
      const toWire = ({ resource, bytes, error = '' }: (typeof items)[number]) => ({
        resource: resourceToWire(resource),
        bytes: BigInt(bytes),
        error,
      });
      return { items: items.map(toWire), freedBytes: BigInt(freedBytes) };
    },
    async *check({ repair, quick }, ctx) {
      for await (const { finding, doneBytes, totalBytes } of storage.check(ctx, { repair, quick }))
        yield {
          ...(finding && { finding: findingToWire(finding) }),
          doneBytes: BigInt(doneBytes),
          totalBytes: BigInt(totalBytes),
        };
    },
  });
}

const kinds = new Set<string>([
  'content',
  'snapshot',
  'image',
  'container',
  'lease',
  'ingest',
  'mount',
] satisfies NodeType[]);

function resourceFromWire({ kind, namespace, id }: WireResource): Resource {
  if (!kinds.has(kind))
    throw invalidArgument(`kind ${JSON.stringify(kind.slice(0, 40))} is none of ${[...kinds].join(', ')}`);
  return { kind: kind as NodeType, namespace, id };
}

const resourceToWire = ({ kind, namespace, id }: Resource) => ({ kind, namespace, id });

const itemToWire = ({ resource, bytes, uniqueBytes, inUse, updatedAt }: UsageItem) => ({
  resource: resourceToWire(resource),
  bytes: BigInt(bytes),
  uniqueBytes: BigInt(uniqueBytes),
  inUse,
  updatedAt: toTimestamp(updatedAt),
});

const subjectToWire = ({ resource, bytes, paths, truncated }: WhySubject) => ({
  resource: resourceToWire(resource),
  bytes: BigInt(bytes),
  paths: paths.map((steps) => ({
    steps: steps.map((step) => ({ resource: resourceToWire(step.resource), because: step.because })),
  })),
  truncated,
});

const findingToWire = ({ kind, resource, message, repaired, error = '' }: Finding) => ({
  kind,
  ...(resource && { resource: resourceToWire(resource) }),
  message,
  repaired,
  error,
});

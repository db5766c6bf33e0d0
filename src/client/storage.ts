import { timestampFromDate } from '@bufbuild/protobuf/wkt';
import { dataLoss } from '../errors/error.ts';
import {
  Storage as StorageService,
  type Finding as WireFinding,
  type Resource as WireResource,
} from '../gen/berth/v1/storage_pb.ts';
import type {
  CheckOptions,
  CheckProgress,
  Finding,
  Pruned,
  PruneRequest,
  Resource,
  StorageUsage,
  WhySubject,
} from '../storage/storage.ts';
import type { CallOptions, Connection } from './connection.ts';
import { toDate, toSize } from './convert.ts';

/** What is on the daemon's disk: who holds it and why, what can go, and whether it is whole. */
export interface Storage {
  /** Measures the data root, of all namespaces. May take as long as `du` does. */
  usage(options?: CallOptions): Promise<StorageUsage>;
  /**
   * Every path from a root of garbage collection to what `target` names: a digest (of any namespace), a snapshot's key,
   * an image, container or lease of the namespace; digests and ids may be cut short. @throws not_found
   */
  why(target: string, options?: CallOptions): Promise<WhySubject[]>;
  /** Removes what nothing in the namespace uses; with `dryRun` says what that would be. Never takes what is in use. */
  prune(request?: PruneRequest, options?: CallOptions): Promise<Pruned>;
  /** Compares records, files and mounts, of all namespaces, and hashes every blob. Yields progress and findings. */
  check(request?: CheckOptions, options?: CallOptions): AsyncIterable<CheckProgress>;
}

/** The storage of the daemon at the other end. */
export function remoteStorage(connection: Connection): Storage {
  const service = connection.service(StorageService);
  return {
    async usage(options) {
      const { root, diskBytes, parts, items } = await service.usage({}, connection.slow(options));
      return {
        root,
        diskBytes: toSize(diskBytes),
        parts: parts.map((part) => ({ name: part.name, diskBytes: toSize(part.diskBytes) })),
        items: items.map((item) => ({
          resource: fromResource(item.resource),
          bytes: toSize(item.bytes),
          uniqueBytes: toSize(item.uniqueBytes),
          inUse: item.inUse,
          updatedAt: toDate(item.updatedAt),
        })),
      };
    },
    async why(target, options) {
      const { subjects } = await service.why({ target }, connection.slow(options));
      return subjects.map(({ resource, bytes, paths, truncated }) => ({
        resource: fromResource(resource),
        bytes: toSize(bytes),
        paths: paths.map(({ steps }) =>
          steps.map((step) => ({ resource: fromResource(step.resource), because: step.because })),
        ),
        truncated,
      }));
    },
    async prune(request = {}, options) {
      const { items, freedBytes } = await service.prune(toPrune(request), connection.slow(options));
      return {
        freedBytes: toSize(freedBytes),
        items: items.map(({ resource, bytes, error }) => ({
          resource: fromResource(resource),
          bytes: toSize(bytes),
          ...(error === '' ? {} : { error }),
        })),
      };
    },
    async *check({ repair = false, quick = false } = {}, options) {
      const answers = service.check({ repair, quick }, connection.stream(options));
      for await (const { finding, doneBytes, totalBytes } of answers)
        yield {
          ...(finding && { finding: fromFinding(finding) }),
          doneBytes: toSize(doneBytes),
          totalBytes: toSize(totalBytes),
        };
    },
  };
}

function fromResource(wire: WireResource | undefined): Resource {
  if (wire === undefined) throw dataLoss('daemon sent no resource');
  return { kind: wire.kind as Resource['kind'], namespace: wire.namespace, id: wire.id };
}

function fromFinding({ kind, resource, message, repaired, error }: WireFinding): Finding {
  return {
    kind: kind as Finding['kind'],
    ...(resource && { resource: fromResource(resource) }),
    message,
    repaired,
    ...(error === '' ? {} : { error }),
  };
}

const toPrune = ({ until, labels = [], withoutLabels = [], only = [], ...request }: PruneRequest) => ({
  ...request,
  labels: [...labels],
  withoutLabels: [...withoutLabels],
  only: only.map(({ kind, namespace, id }) => ({ kind, namespace, id })),
  ...(until === undefined ? {} : { until: timestampFromDate(until) }),
});

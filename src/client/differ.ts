import { timestampFromDate } from '@bufbuild/protobuf/wkt';
import type { Context } from '../async/context.ts';
import { Diff } from '../gen/containerd/services/diff/v1/diff_pb.ts';
import type { Differ } from '../transfer/differ.ts';
import type { Connection } from './connection.ts';
import { fromDescriptor, toDescriptor } from './convert.ts';
import { toMount } from './snapshots.ts';

/** A differ in another process. Calls take the caller's namespace and lease along, and end in time. */
export function remoteDiffer(connection: Connection): Differ {
  const service = connection.service(Diff);
  const within = ({ signal, namespace, lease }: Context) => connection.slow({ signal, namespace, lease });
  return {
    async apply(ctx, { layer, mounts, sync }) {
      const request = { diff: toDescriptor(layer), mounts: mounts.map(toMount), syncFs: sync };
      return fromDescriptor((await service.apply(request, within(ctx))).applied);
    },
    async compare(ctx, { left, right, mediaType = '', ref = '', labels = {}, latestMs }) {
      const request = {
        left: left.map(toMount),
        right: right.map(toMount),
        mediaType,
        ref,
        labels: { ...labels },
        ...(latestMs === undefined ? {} : { sourceDateEpoch: timestampFromDate(new Date(latestMs)) }),
      };
      return fromDescriptor((await service.diff(request, within(ctx))).diff);
    },
  };
}

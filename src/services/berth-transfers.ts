import { durationFromMs } from '@bufbuild/protobuf/wkt';
import { type Context, namespaceOf } from '../async/context.ts';
import { Transfers as Service, TransferStatus } from '../gen/berth/v1/transfers_pb.ts';
import { bindService, type ServiceBinding } from '../rpc/service.ts';
import type { TransferState } from '../transfer/running-transfer.ts';
import type { RunningTransfers } from '../transfer/running-transfers.ts';
import { toTimestamp } from './wire.ts';

/** berth.v1.Transfers: what is being pulled, pushed, imported and exported, over the wire. */
export function berthTransfersService(transfers: RunningTransfers): ServiceBinding {
  return bindService(Service, {
    async list({ allNamespaces }, ctx) {
      return { transfers: transfers.list({ namespace: scopeOf(ctx, allNamespaces) }).map(toWire) };
    },
    async *watch({ id, allNamespaces }, ctx) {
      const filter = { namespace: scopeOf(ctx, allNamespaces), id: id === '' ? undefined : id };
      for await (const state of transfers.watch(filter, ctx.signal)) yield toWire(state);
    },
    async cancel({ id }, ctx) {
      transfers.cancel(namespaceOf(ctx), id);
      return {};
    },
  });
}

const scopeOf = (ctx: Context, all: boolean): string => (all ? '' : namespaceOf(ctx));

const statuses = {
  running: TransferStatus.RUNNING,
  done: TransferStatus.DONE,
  failed: TransferStatus.FAILED,
} as const;

function toWire(state: TransferState) {
  const { id, namespace, verb, name, error, startedAt, status, etaMs, objects } = state;
  return {
    id,
    namespace,
    verb,
    name,
    error,
    startedAt: toTimestamp(startedAt),
    status: statuses[status],
    doneBytes: BigInt(state.doneBytes),
    totalBytes: BigInt(state.totalBytes),
    bytesPerSecond: BigInt(Math.round(state.bytesPerSecond)),
    ...(etaMs !== undefined && { eta: durationFromMs(Math.round(etaMs)) }),
    objects: objects.map(({ doneBytes, totalBytes, ...object }) => ({
      ...object,
      doneBytes: BigInt(doneBytes),
      totalBytes: BigInt(totalBytes),
    })),
  };
}

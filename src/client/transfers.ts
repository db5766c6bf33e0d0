import { durationMs } from '@bufbuild/protobuf/wkt';
import {
  TransferStatus,
  Transfers as TransfersService,
  type TransferState as WireState,
} from '../gen/berth/v1/transfers_pb.ts';
import type { TransferObject, TransferState } from '../transfer/running-transfer.ts';
import type { CallOptions, Connection } from './connection.ts';
import { toDate, toDigest, toSize } from './convert.ts';

/** Which transfers: those of the connection's namespace, unless all are asked for. */
export interface TransferScopeOptions extends CallOptions {
  readonly allNamespaces?: boolean;
}

/** What is being pulled, pushed, imported and exported, whichever client began it. */
export interface Transfers {
  list(options?: TransferScopeOptions): Promise<TransferState[]>;
  /**
   * The state of each transfer under way, then of those that change, at most five times a second. With an id it ends when
   * that transfer has; without one it goes on until it is left or `signal` fires. @throws not_found (id)
   */
  watch(options?: TransferScopeOptions & { readonly id?: string }): AsyncIterable<TransferState>;
  /** Cancels a transfer; its client is told. @throws not_found */
  cancel(id: string, options?: CallOptions): Promise<void>;
}

/** The transfers of the daemon. */
export function remoteTransfers(connection: Connection): Transfers {
  const service = connection.service(TransfersService);
  return {
    async list({ allNamespaces = false, ...options } = {}) {
      const { transfers } = await service.list({ allNamespaces }, connection.unary(options));
      return transfers.map(fromWire);
    },
    async *watch({ allNamespaces = false, id = '', ...options } = {}) {
      try {
        for await (const state of service.watch({ id, allNamespaces }, connection.stream(options)))
          yield fromWire(state);
      } catch (error) {
        if (options.signal?.aborted !== true) throw error;
      }
    },
    async cancel(id, options) {
      await service.cancel({ id }, connection.unary(options));
    },
  };
}

const statuses: Readonly<Partial<Record<TransferStatus, TransferState['status']>>> = {
  [TransferStatus.DONE]: 'done',
  [TransferStatus.FAILED]: 'failed',
};

function fromWire(wire: WireState): TransferState {
  const { id, namespace, verb, name, error, startedAt, status, eta, objects } = wire;
  return {
    id,
    namespace,
    verb: verb as TransferState['verb'],
    name,
    error,
    startedAt: toDate(startedAt),
    status: statuses[status] ?? 'running',
    doneBytes: toSize(wire.doneBytes),
    totalBytes: toSize(wire.totalBytes),
    bytesPerSecond: toSize(wire.bytesPerSecond),
    etaMs: eta === undefined ? undefined : durationMs(eta),
    objects: objects.map((object) => ({
      name: object.name,
      digest: toDigest(object.digest),
      mediaType: object.mediaType,
      phase: object.phase as TransferObject['phase'],
      doneBytes: toSize(object.doneBytes),
      totalBytes: toSize(object.totalBytes),
    })),
  };
}

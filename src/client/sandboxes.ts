import { dataLoss } from '../errors/error.ts';
import { Store } from '../gen/containerd/services/sandbox/v1/sandbox_pb.ts';
import type { Sandbox as WireSandbox } from '../gen/containerd/types/types_pb.ts';
import type { NewSandbox, Sandbox } from '../metadata/sandbox-store.ts';
import type { Any } from '../oci/any.ts';
import { toAny } from '../rpc/any.ts';
import type { CallOptions, Connection } from './connection.ts';
import { fromAny, toDate } from './convert.ts';

/** What a record is made of: `labels` and `extensions` are none, the `sandboxer` is `shim` where they are left out. */
export type SandboxRecord = Pick<NewSandbox, 'id' | 'runtime'> & Partial<NewSandbox>;

/** Records of sandboxes. What runs is a controller's: {@link BerthClient.sandboxController}. */
export interface Sandboxes {
  /** @throws already_exists, invalid_argument (id) */
  create(sandbox: SandboxRecord, options?: CallOptions): Promise<Sandbox>;
  /** @throws not_found */
  get(id: string, options?: CallOptions): Promise<Sandbox>;
  /** By containerd's filters over `id` and `labels`; none = all. @throws invalid_argument */
  list(filters?: readonly string[], options?: CallOptions): Promise<Sandbox[]>;
  /**
   * Field paths: `labels`, `labels.<key>`, `extensions`, `extensions.<key>`, `spec`, `runtime`; none means all of them, the
   * runtime's name excepted. @throws not_found, invalid_argument
   */
  update(sandbox: SandboxRecord, fieldPaths?: readonly string[], options?: CallOptions): Promise<Sandbox>;
  /** Only the record: end what runs first. @throws not_found */
  delete(id: string, options?: CallOptions): Promise<void>;
}

/** The records of the connection's namespace. */
export function remoteSandboxes(connection: Connection): Sandboxes {
  const service = connection.service(Store);
  return {
    async create(sandbox, options) {
      return fromWire(
        (await service.create({ sandbox: toSandbox(sandbox) }, connection.unary(options))).sandbox,
      );
    },
    async get(sandboxId, options) {
      return fromWire((await service.get({ sandboxId }, connection.unary(options))).sandbox);
    },
    async list(filters = [], options) {
      const { list } = await service.list({ filters: [...filters] }, connection.unary(options));
      return list.map(fromWire);
    },
    async update(sandbox, fieldPaths = [], options) {
      const request = { sandbox: toSandbox(sandbox), fields: [...fieldPaths] };
      return fromWire((await service.update(request, connection.unary(options))).sandbox);
    },
    async delete(sandboxId, options) {
      await service.delete({ sandboxId }, connection.unary(options));
    },
  };
}

const anyOrNone = (any: Any | undefined) => (any === undefined ? undefined : toAny(any));

/** A sandbox for the wire. */
export function toSandbox(sandbox: SandboxRecord) {
  const { id, runtime, spec, labels = {}, extensions = {}, sandboxer = 'shim' } = sandbox;
  const [options, wireSpec] = [anyOrNone(runtime.options), anyOrNone(spec)];
  return {
    sandboxId: id,
    sandboxer,
    runtime: { name: runtime.name, ...(options && { options }) },
    ...(wireSpec && { spec: wireSpec }),
    labels: { ...labels },
    extensions: Object.fromEntries(Object.entries(extensions).map(([key, any]) => [key, toAny(any)])),
  };
}

/** @throws data_loss when the daemon sent none */
function fromWire(wire: WireSandbox | undefined): Sandbox {
  if (wire === undefined) throw dataLoss('daemon sent no sandbox');
  const { sandboxId: id, sandboxer, runtime, spec, labels, extensions, createdAt, updatedAt } = wire;
  return {
    id,
    sandboxer,
    runtime: { name: runtime?.name ?? '', options: fromAny(runtime?.options) },
    spec: fromAny(spec),
    labels: { ...labels },
    extensions: Object.fromEntries(
      Object.entries(extensions).map(([key, { typeUrl, value }]) => [key, { typeUrl, value }]),
    ),
    createdAt: toDate(createdAt),
    updatedAt: toDate(updatedAt),
  };
}

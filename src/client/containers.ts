import { timestampFromDate } from '@bufbuild/protobuf/wkt';
import { dataLoss } from '../errors/error.ts';
import { Containers as BerthContainers } from '../gen/berth/v1/containers_pb.ts';
import {
  Containers as ContainersService,
  type Container as WireContainer,
} from '../gen/containerd/services/containers/v1/containers_pb.ts';
import type { Container, NewContainer } from '../metadata/container-store.ts';
import type { Any } from '../oci/any.ts';
import { toAny } from '../rpc/any.ts';
import type { CallOptions, Connection } from './connection.ts';
import {
  type ContainerOptions,
  type LimitChanges,
  type LogEntry,
  type LogOptions,
  type ProcessOptions,
  type StdioPaths,
  toCreateRequest,
  toLimits,
} from './container-options.ts';
import {
  type CopyFromOptions,
  type CopyToOptions,
  readContainerPath,
  writeContainerPath,
} from './container-paths.ts';
import { fromAny, toDate } from './convert.ts';

/** Container records, and Berth's own verbs on whole containers. What runs is a task: see Tasks. */
export interface Containers {
  /** @throws not_found */
  get(id: string, options?: CallOptions): Promise<Container>;
  /** By any of containerd's filters over id, image, runtime.name, labels; none = all. */
  list(filters?: readonly string[], options?: CallOptions): Promise<Container[]>;
  /**
   * Makes a container of an image that is here: snapshot, runtime spec, record. Starts nothing.
   * @throws not_found (image), already_exists (name or id), invalid_argument
   */
  create(container: ContainerOptions, options?: CallOptions): Promise<CreatedContainer>;
  /** Removes task, snapshot, logs and record; `force` kills first. @throws not_found, failed_precondition (running) */
  remove(id: string, options?: CallOptions & { force?: boolean }): Promise<void>;
  /** Gives a container another name. @throws not_found, already_exists, invalid_argument */
  rename(id: string, name: string, options?: CallOptions): Promise<void>;
  /** Changes limits, at once where it runs and for every later start. @throws not_found, invalid_argument, unknown (the kernel's refusal) */
  update(id: string, limits: LimitChanges, options?: CallOptions): Promise<void>;
  /**
   * What has been done to end what runs in a container, oldest first: shows why it still ends. @throws not_found (no task)
   */
  endSteps(id: string, options?: CallOptions): Promise<EndStep[]>;
  /** Lines that a container created with `logs` wrote; with `follow` until it ends or the loop is left. */
  logs(id: string, options?: LogOptions): AsyncIterable<LogEntry>;
  /**
   * What is at a path in a container as a tar, running or not: its own name on top, or `./` where the path ends in `/` or
   * `/.`. Symlinks at its end are not followed, those on the way stay inside. Leaving the loop cancels it.
   * @throws not_found (container, path), invalid_argument, failed_precondition (files of the kernel, or of a mount of a
   *   container that does not run), unavailable (it ended just now)
   */
  copyFrom(id: string, path: string, options?: CopyFromOptions): AsyncIterable<Uint8Array>;
  /**
   * Puts the members of a plain tar into a directory that is there, running or not. Files replace files, never directories.
   * @throws as {@link copyFrom}; resource_exhausted (disk, limits); what was written until then stays
   */
  copyTo(
    id: string,
    path: string,
    archive: AsyncIterable<Uint8Array>,
    options?: CopyToOptions,
  ): Promise<void>;
  /** FIFOs for the streams of a process about to be created. */
  makeStdio(
    id: string,
    wanted: { execId?: string; stdin?: boolean; stdout?: boolean; stderr?: boolean },
    options?: CallOptions,
  ): Promise<StdioPaths>;
  /** The runtime spec of another process in a container, for an exec. @throws not_found, invalid_argument */
  processSpec(id: string, process: ProcessOptions, options?: CallOptions): Promise<Any>;
  /** A bare record, as containerd's clients make it. @throws already_exists, invalid_argument */
  createRecord(container: NewContainer, options?: CallOptions): Promise<Container>;
  /** Sets labels; an empty value removes one. @throws not_found */
  label(id: string, labels: Readonly<Record<string, string>>, options?: CallOptions): Promise<Container>;
  /** The record only. @throws not_found */
  deleteRecord(id: string, options?: CallOptions): Promise<void>;
}

/** One step on the way to the end of what runs in a container; `error` is '' when it went well. */
export interface EndStep {
  readonly at: Date;
  readonly step: string;
  readonly error: string;
}

/** What became of a create: id and name, given or made up. */
export interface CreatedContainer {
  readonly id: string;
  readonly name: string;
  /** For Tasks.create when logs were asked for, else ''. */
  readonly logUri: string;
}

function fromWire(wire: WireContainer | undefined): Container {
  if (wire === undefined) throw dataLoss('daemon sent no container');
  const extensions = Object.entries(wire.extensions).map(([key, any]) => [key, fromAny(any)] as const);
  return {
    id: wire.id,
    labels: { ...wire.labels },
    image: wire.image,
    runtime: { name: wire.runtime?.name ?? '', options: fromAny(wire.runtime?.options) },
    spec: fromAny(wire.spec),
    snapshotter: wire.snapshotter,
    snapshotKey: wire.snapshotKey,
    createdAt: toDate(wire.createdAt),
    updatedAt: toDate(wire.updatedAt),
    extensions: Object.fromEntries(
      extensions.flatMap(([key, any]) => (any === undefined ? [] : [[key, any]])),
    ),
    sandboxId: wire.sandbox,
  };
}

function toWire(container: NewContainer) {
  const { name, options } = container.runtime;
  const extensions = Object.entries(container.extensions).map(([key, any]) => [key, toAny(any)] as const);
  return {
    id: container.id,
    labels: { ...container.labels },
    image: container.image,
    runtime: { name, ...(options === undefined ? {} : { options: toAny(options) }) },
    ...(container.spec === undefined ? {} : { spec: toAny(container.spec) }),
    snapshotter: container.snapshotter,
    snapshotKey: container.snapshotKey,
    extensions: Object.fromEntries(extensions),
    sandbox: container.sandboxId,
  };
}

/** The containers of the connection's namespace. */
export function remoteContainers(connection: Connection): Containers {
  return { ...records(connection), ...verbs(connection) };
}

function records(connection: Connection) {
  const service = connection.service(ContainersService);
  return {
    async get(id: string, options?: CallOptions) {
      return fromWire((await service.get({ id }, connection.unary(options))).container);
    },
    async list(filters: readonly string[] = [], options?: CallOptions) {
      const found: Container[] = [];
      const pages = service.listStream({ filters: [...filters] }, connection.stream(options));
      for await (const message of pages) found.push(fromWire(message.container));
      return found;
    },
    async createRecord(container: NewContainer, options?: CallOptions) {
      const request = { container: toWire(container) };
      return fromWire((await service.create(request, connection.unary(options))).container);
    },
    async label(id: string, labels: Readonly<Record<string, string>>, options?: CallOptions) {
      const updateMask = { paths: Object.keys(labels).map((key) => `labels.${key}`) };
      const request = { container: { id, labels: { ...labels } }, updateMask };
      return fromWire((await service.update(request, connection.unary(options))).container);
    },
    async deleteRecord(id: string, options?: CallOptions) {
      await service.delete({ id }, connection.unary(options));
    },
  };
}

function verbs(connection: Connection) {
  const service = connection.service(BerthContainers);
  return {
    async create(container: ContainerOptions, options?: CallOptions) {
      const response = await service.create(toCreateRequest(container), connection.slow(options));
      return { id: response.id, name: response.name, logUri: response.logUri };
    },
    async remove(id: string, options?: CallOptions & { force?: boolean }) {
      await service.remove({ id, force: options?.force ?? false }, connection.slow(options));
    },
    async rename(id: string, name: string, options?: CallOptions) {
      await service.rename({ id, name }, connection.unary(options));
    },
    async update(id: string, limits: LimitChanges, options?: CallOptions) {
      await service.update({ id, ...toLimits(limits) }, connection.slow(options));
    },
    async endSteps(id: string, options?: CallOptions) {
      const { steps } = await service.endSteps({ id }, connection.unary(options));
      return steps.map(({ at, step, error }) => ({ at: toDate(at), step, error }));
    },
    logs: (id: string, options: LogOptions = {}) => readLogs(connection, id, options),
    copyFrom: (id: string, path: string, options?: CopyFromOptions) =>
      readContainerPath(connection, id, path, options),
    copyTo: (id: string, path: string, archive: AsyncIterable<Uint8Array>, options?: CopyToOptions) =>
      writeContainerPath(connection, id, path, archive, options),
    async makeStdio(id: string, wanted: Parameters<Containers['makeStdio']>[1], options?: CallOptions) {
      const response = await service.makeStdio({ containerId: id, ...wanted }, connection.unary(options));
      return { stdin: response.stdin, stdout: response.stdout, stderr: response.stderr };
    },
    async processSpec(id: string, wanted: ProcessOptions, options?: CallOptions) {
      const request = { containerId: id, ...wanted, args: [...wanted.args], env: [...(wanted.env ?? [])] };
      const spec = fromAny((await service.processSpec(request, connection.unary(options))).spec);
      if (spec === undefined) throw dataLoss(`daemon sent no process spec for container ${id}`);
      return spec;
    },
  };
}

async function* readLogs(
  connection: Connection,
  id: string,
  options: LogOptions,
): AsyncGenerator<LogEntry, void, void> {
  const { follow = false, tail = 0, since, signal } = options;
  const request = {
    containerId: id,
    follow,
    tail: BigInt(tail),
    ...(since === undefined ? {} : { since: timestampFromDate(since) }),
  };
  try {
    for await (const entry of connection
      .service(BerthContainers)
      .logs(request, connection.stream({ signal }))) {
      const stream = entry.stream === 'stderr' ? 'stderr' : 'stdout';
      yield { time: toDate(entry.time), stream, data: entry.data, partial: entry.partial };
    }
  } catch (error) {
    if (signal?.aborted !== true) throw error;
  }
}

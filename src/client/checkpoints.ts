import { Checkpoints as Service } from '../gen/berth/v1/checkpoints_pb.ts';
import type { Descriptor } from '../oci/descriptor.ts';
import { normalizeReference } from '../oci/reference.ts';
import type { CallOptions, Connection } from './connection.ts';
import type { CreatedContainer } from './containers.ts';
import { fromDescriptor } from './convert.ts';

/** What a checkpoint keeps, and whether the container goes on. All default to false. */
export interface CheckpointOptions extends CallOptions {
  /** End the container. */
  readonly exit?: boolean;
  /** Keep established TCP connections. */
  readonly openTcp?: boolean;
  /** Keep the ends of Unix sockets whose other end is outside. */
  readonly externalUnixSockets?: boolean;
  /** Keep a terminal that is not the container's own. */
  readonly terminal?: boolean;
  /** Keep locks on files. */
  readonly fileLocks?: boolean;
}

/** How to make a container of a checkpoint. */
export interface RestoreOptions extends CallOptions {
  readonly id?: string;
  /** Unique in the namespace; default: made up. */
  readonly name?: string;
  /** Keep stdout and stderr in a log. Default false. */
  readonly logs?: boolean;
  readonly labels?: Readonly<Record<string, string>>;
}

/** A container made of a checkpoint; Tasks.create with `checkpoint` brings its processes back. */
export interface RestoredContainer extends CreatedContainer {
  /** undefined: no processes were kept, the container starts anew. */
  readonly checkpoint: Descriptor | undefined;
  readonly terminal: boolean;
}

/** Checkpoints are images; they are listed, pushed, pulled, saved and removed as such. */
export interface Checkpoints {
  /**
   * Makes an image of a running container that it can be restored from, here or elsewhere. One of that name is replaced.
   * @returns its digest @throws not_found, failed_precondition (not running, no criu), unknown (criu's words)
   */
  create(containerId: string, reference: string, options?: CheckpointOptions): Promise<string>;
  /** Makes a container of a checkpoint; starts nothing. @throws not_found, already_exists, failed_precondition (none of a container) */
  restore(reference: string, options?: RestoreOptions): Promise<RestoredContainer>;
}

/** The checkpoints of the connection's namespace. */
export function remoteCheckpoints(connection: Connection): Checkpoints {
  const service = connection.service(Service);
  return {
    async create(containerId, reference, { timeoutMs, signal, ...options } = {}) {
      const request = { containerId, name: normalizeReference(reference), ...options };
      return (await service.create(request, connection.slow({ timeoutMs, signal }))).digest;
    },
    async restore(reference, { id = '', name = '', logs = false, labels = {}, ...call } = {}) {
      const request = { checkpoint: normalizeReference(reference), id, name, logs, labels: { ...labels } };
      const made = await service.restore(request, connection.slow(call));
      return {
        id: made.id,
        name: made.name,
        logUri: made.logUri,
        terminal: made.terminal,
        checkpoint: made.checkpoint && fromDescriptor(made.checkpoint),
      };
    },
  };
}

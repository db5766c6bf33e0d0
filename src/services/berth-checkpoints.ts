import { create, toBinary } from '@bufbuild/protobuf';
import type { Context } from '../async/context.ts';
import type { Containers } from '../containers/containers.ts';
import { keptTerminal } from '../containers/restored-spec.ts';
import { invalidArgument } from '../errors/error.ts';
import {
  type CreateCheckpointRequest,
  type RestoreCheckpointRequest,
  Checkpoints as Service,
} from '../gen/berth/v1/checkpoints_pb.ts';
import { CheckpointOptionsSchema } from '../gen/containerd/runc/v1/runc_pb.ts';
import type { Image } from '../metadata/image-store.ts';
import type { Any } from '../oci/any.ts';
import { bindService, type ServiceBinding } from '../rpc/service.ts';
import type { CheckpointRequest } from '../transfer/checkpoint/checkpoint-image.ts';
import type { Checkpoint } from '../transfer/checkpoint/read-checkpoint.ts';
import { toWireDescriptor } from './descriptor-wire.ts';

/** The verbs that the service translates to. */
export interface CheckpointVerbs {
  create(ctx: Context, request: CheckpointRequest): Promise<Image>;
  read(ctx: Context, name: string): Promise<Checkpoint>;
}

/** berth.v1.Checkpoints: images of containers that hold their processes, over the wire. */
export function berthCheckpointsService(verbs: CheckpointVerbs, containers: Containers): ServiceBinding {
  return bindService(Service, {
    async create(request, ctx) {
      const { containerId, name } = request;
      if (name === '') throw invalidArgument('name must be set');
      const { target } = await verbs.create(ctx, { containerId, name, options: optionsOf(request) });
      return { name, digest: target.digest };
    },
    async restore(request, ctx) {
      const checkpoint = await verbs.read(ctx, request.checkpoint);
      const made = await containers.create(ctx, newContainerOf(request, checkpoint));
      const { processes, spec } = checkpoint;
      return {
        ...made,
        terminal: keptTerminal(spec),
        ...(processes && { checkpoint: toWireDescriptor(processes) }),
      };
    },
  });
}

function optionsOf(request: CreateCheckpointRequest): Any {
  const { exit, openTcp, externalUnixSockets, terminal, fileLocks } = request;
  const options = create(CheckpointOptionsSchema, {
    exit,
    openTcp,
    externalUnixSockets,
    terminal,
    fileLocks,
  });
  return { typeUrl: CheckpointOptionsSchema.typeName, value: toBinary(CheckpointOptionsSchema, options) };
}

const newContainerOf = (
  { id, name, logs, labels }: RestoreCheckpointRequest,
  { image, runtime, runtimeOptions, spec, layer }: Checkpoint,
) => ({ id, name, logs, labels, image, runtime, runtimeOptions, restored: { spec, layer } });

import { create, type DescMessage, type MessageInitShape, toBinary } from '@bufbuild/protobuf';
import * as events from '../gen/containerd/events/events_pb.ts';
import * as images from '../gen/containerd/services/images/v1/images_pb.ts';
import type { Any } from '../oci/any.ts';

/** Every event there is: its topic and the message it carries (containerd's docs, EV-1 of features.md). */
export const eventTable = {
  containerCreate: ['/containers/create', events.ContainerCreateSchema],
  containerUpdate: ['/containers/update', events.ContainerUpdateSchema],
  containerDelete: ['/containers/delete', events.ContainerDeleteSchema],
  contentCreate: ['/content/create', events.ContentCreateSchema],
  contentDelete: ['/content/delete', events.ContentDeleteSchema],
  imageCreate: ['/images/create', images.ImageCreateSchema],
  imageUpdate: ['/images/update', images.ImageUpdateSchema],
  imageDelete: ['/images/delete', images.ImageDeleteSchema],
  namespaceCreate: ['/namespaces/create', events.NamespaceCreateSchema],
  namespaceUpdate: ['/namespaces/update', events.NamespaceUpdateSchema],
  namespaceDelete: ['/namespaces/delete', events.NamespaceDeleteSchema],
  snapshotPrepare: ['/snapshot/prepare', events.SnapshotPrepareSchema],
  snapshotCommit: ['/snapshot/commit', events.SnapshotCommitSchema],
  snapshotRemove: ['/snapshot/remove', events.SnapshotRemoveSchema],
  sandboxCreate: ['/sandboxes/create', events.SandboxCreateSchema],
  sandboxStart: ['/sandboxes/start', events.SandboxStartSchema],
  sandboxExit: ['/sandboxes/exit', events.SandboxExitSchema],
  taskCreate: ['/tasks/create', events.TaskCreateSchema],
  taskStart: ['/tasks/start', events.TaskStartSchema],
  taskOom: ['/tasks/oom', events.TaskOOMSchema],
  taskExit: ['/tasks/exit', events.TaskExitSchema],
  taskDelete: ['/tasks/delete', events.TaskDeleteSchema],
  taskExecAdded: ['/tasks/exec-added', events.TaskExecAddedSchema],
  taskExecStarted: ['/tasks/exec-started', events.TaskExecStartedSchema],
  taskPaused: ['/tasks/paused', events.TaskPausedSchema],
  taskResumed: ['/tasks/resumed', events.TaskResumedSchema],
  taskCheckpointed: ['/tasks/checkpointed', events.TaskCheckpointedSchema],
} as const satisfies Record<string, readonly [topic: string, schema: DescMessage]>;

export type EventName = keyof typeof eventTable;
export type EventInit<N extends EventName> = MessageInitShape<(typeof eventTable)[N][1]>;

/** What Events.publish takes. */
export interface TopicEvent {
  readonly topic: string;
  readonly event: Any;
}

/**
 * An event ready to publish, e.g. `makeEvent('imageCreate', { name, labels })`; fields as in the .proto, in camelCase,
 * times as protobuf Timestamps (see {@link timestampOf}). The type URL is the bare message name, as containerd's.
 */
export function makeEvent<N extends EventName>(name: N, init: EventInit<N>): TopicEvent {
  const [topic, schema] = eventTable[name] as (typeof eventTable)[N];
  return { topic, event: { typeUrl: schema.typeName, value: toBinary(schema, create(schema, init)) } };
}

/** Date ▶ protobuf Timestamp. */
export function timestampOf(date: Date): { seconds: bigint; nanos: number } {
  const ms = date.getTime();
  const seconds = Math.floor(ms / 1000);
  return { seconds: BigInt(seconds), nanos: (ms - seconds * 1000) * 1_000_000 };
}

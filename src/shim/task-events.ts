import { timestampFromDate } from '@bufbuild/protobuf/wkt';
import {
  TaskCreateSchema,
  TaskDeleteSchema,
  TaskExecAddedSchema,
  TaskExecStartedSchema,
  TaskExitSchema,
  TaskOOMSchema,
  TaskPausedSchema,
  TaskResumedSchema,
  TaskStartSchema,
} from '../gen/containerd/events/events_pb.ts';
import type { EventLog } from './event-log.ts';
import type { ProcessExit } from './reaper.ts';
import type { Task } from './task.ts';
import type { TaskProcess } from './task-process.ts';

/** The life of tasks as containerd's events, each under its topic. */
export class TaskEvents {
  readonly #log: EventLog;

  constructor(log: EventLog) {
    this.#log = log;
  }

  /** Number of the newest event there ever was. */
  get lastNumber(): number {
    return this.#log.lastNumber;
  }

  created({ request, init }: Task): void {
    const { stdin, stdout, stderr, terminal } = request;
    this.#log.publish(request.namespace, '/tasks/create', TaskCreateSchema, {
      containerId: request.id,
      bundle: request.bundle,
      rootfs: request.rootfs.map((mount) => ({ ...mount, options: [...mount.options] })),
      io: { stdin, stdout, stderr, terminal },
      checkpoint: request.checkpoint ?? '',
      pid: init.pid,
    });
  }

  started({ request, init }: Task): void {
    this.#log.publish(request.namespace, '/tasks/start', TaskStartSchema, {
      containerId: request.id,
      pid: init.pid,
    });
  }

  oom({ request }: Task): void {
    this.#log.publish(request.namespace, '/tasks/oom', TaskOOMSchema, { containerId: request.id });
  }

  execAdded({ request }: Task, execId: string): void {
    this.#log.publish(request.namespace, '/tasks/exec-added', TaskExecAddedSchema, {
      containerId: request.id,
      execId,
    });
  }

  execStarted({ request }: Task, { execId, pid }: TaskProcess): void {
    this.#log.publish(request.namespace, '/tasks/exec-started', TaskExecStartedSchema, {
      containerId: request.id,
      execId,
      pid,
    });
  }

  exited({ request }: Task, { execId, pid, exit }: TaskProcess): void {
    if (exit === undefined) return;
    this.#log.publish(request.namespace, '/tasks/exit', TaskExitSchema, {
      containerId: request.id,
      id: execId === '' ? request.id : execId,
      pid,
      exitStatus: exit.status,
      exitedAt: timestampFromDate(exit.at),
    });
  }

  deleted({ request, init }: Task, exit: ProcessExit): void {
    this.#log.publish(request.namespace, '/tasks/delete', TaskDeleteSchema, {
      containerId: request.id,
      pid: init.pid,
      exitStatus: exit.status,
      exitedAt: timestampFromDate(exit.at),
    });
  }

  paused({ request }: Task): void {
    this.#log.publish(request.namespace, '/tasks/paused', TaskPausedSchema, { containerId: request.id });
  }

  resumed({ request }: Task): void {
    this.#log.publish(request.namespace, '/tasks/resumed', TaskResumedSchema, { containerId: request.id });
  }
}

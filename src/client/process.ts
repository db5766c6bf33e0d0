import { Tasks as TasksService } from '../gen/containerd/services/tasks/v1/tasks_pb.ts';
import type { CallOptions, Connection } from './connection.ts';
import { toDate } from './convert.ts';
import type { Stdio } from './stdio.ts';

/** How a process ended. `code` is 128 + n for a process killed by signal n. */
export interface Exit {
  readonly code: number;
  readonly exitedAt: Date;
}

/**
 * A process of a container: its first one (`execId` is '') or an exec, with the client's ends of its streams.
 * Disposing closes the streams and leaves the process alone.
 */
export interface Process extends Stdio {
  readonly containerId: string;
  readonly execId: string;
  /** Returns the pid on the host. @throws failed_precondition (runs already) and what the runtime says */
  start(options?: CallOptions): Promise<number>;
  /** Resolves when the process has ended, whenever that is. @throws not_found, unavailable (daemon gone: ask again) */
  wait(options?: CallOptions): Promise<Exit>;
  /** `signal` is a number of signal(7). `all` reaches every process of the container. @throws not_found */
  kill(signal: number, options?: CallOptions & { all?: boolean }): Promise<void>;
  /** Size of the terminal in character cells. */
  resize(columns: number, rows: number, options?: CallOptions): Promise<void>;
  /** Tells the process that its standard input has ended. Close {@link stdin} first. */
  closeStdin(options?: CallOptions): Promise<void>;
  /** Forgets a process that has ended. @throws not_found, failed_precondition (still runs) */
  delete(options?: CallOptions): Promise<Exit>;
}

/** A handle; `stdio` is owned by it from now on. */
export function processHandle(
  connection: Connection,
  containerId: string,
  execId: string,
  stdio: Stdio,
): Process {
  const service = connection.service(TasksService);
  const id = { containerId, execId };
  return {
    ...stdio,
    ...id,
    async start(options) {
      return (await service.start(id, connection.slow(options))).pid;
    },
    async wait(options) {
      const response = await service.wait(id, connection.stream(options));
      return { code: response.exitStatus, exitedAt: toDate(response.exitedAt) };
    },
    async kill(signal, options) {
      await service.kill({ ...id, signal, all: options?.all ?? false }, connection.unary(options));
    },
    async resize(columns, rows, options) {
      await service.resizePty({ ...id, width: columns, height: rows }, connection.unary(options));
    },
    async closeStdin(options) {
      await service.closeIO({ ...id, stdin: true }, connection.unary(options));
    },
    async delete(options) {
      const on = connection.slow(options);
      const response =
        execId === '' ? await service.delete({ containerId }, on) : await service.deleteProcess(id, on);
      return { code: response.exitStatus, exitedAt: toDate(response.exitedAt) };
    },
  };
}

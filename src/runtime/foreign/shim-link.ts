import { type Context, daemonContext, type Log } from '../../async/context.ts';
import { codeOf, isKind, messageOf, unavailable } from '../../errors/error.ts';
import { Task } from '../../gen/containerd/task/v3/task_pb.ts';
import { connectGrpc } from '../../rpc/grpc-unary-client.ts';
import { connectTtrpc } from '../../rpc/ttrpc-client.ts';
import type { UnaryClient } from '../../rpc/unary-client.ts';
import { isTimeout } from '../shim-calls.ts';
import type { TaskClient } from '../task-caller.ts';
import type { ShimEndpoint } from './shim-answer.ts';
import type { ShimTarget } from './shim-program.ts';

/** A connection to a shim that has answered. */
export interface ShimLink extends Disposable {
  readonly task: TaskClient;
  /** What it speaks: one that promised version 3 may turn out to be older. */
  readonly version: 2 | 3;
  readonly closed: Promise<void>;
}

/** Connects to where a shim serves, in the protocol that it speaks. @throws unavailable (nobody there, or not within `loadMs`) */
export const connectEndpoint = ({ path, protocol }: ShimEndpoint, loadMs: number): Promise<UnaryClient> =>
  protocol === 'grpc' ? connectGrpc(path, loadMs) : connectTtrpc(path, loadMs);

/**
 * Connects to a shim and asks it something harmless, so that one that hangs is known before anything depends on it; it
 * has `loadMs` for either.
 * @throws unavailable; see {@link isDeadShim}
 */
export async function linkShim(
  endpoint: ShimEndpoint,
  target: ShimTarget,
  loadMs: number,
  log: Log,
): Promise<ShimLink> {
  const client = await connectEndpoint(endpoint, loadMs);
  try {
    const { task, version } = await agree(
      client,
      endpoint.version,
      target.id,
      daemonContext(log, target.namespace),
      loadMs,
    );
    return { task, version, closed: client.closed, [Symbol.dispose]: () => client.close() };
  } catch (error) {
    client.close();
    const how = isTimeout(error) ? 'does not answer' : `went away: ${messageOf(error)}`;
    throw unavailable(`shim of task ${target.id} ${how}`, error);
  }
}

/** What a socket says whose process is gone, or is ending with the connection not accepted yet. */
const goneCodes: readonly unknown[] = ['ECONNREFUSED', 'ENOENT', 'ECONNRESET'];

/** Whether a failed {@link linkShim} means that there is no shim any more; one that only hangs is not dead. */
export function isDeadShim(error: unknown): boolean {
  if (isTimeout(error)) return false;
  for (let e: unknown = error; e instanceof Error; e = e.cause) {
    if (goneCodes.includes(codeOf(e))) return true;
    if (/\b(ttrpc|grpc): closed/.test(e.message)) return true;
  }
  return false;
}

/** Any answer is a good one, but that there is no such service: then it is version 2. */
async function agree(
  client: UnaryClient,
  version: 2 | 3,
  id: string,
  ctx: Context,
  helloMs: number,
): Promise<{ task: TaskClient; version: 2 | 3 }> {
  const task = client.service(Task, `containerd.task.v${version}.Task`);
  try {
    await task.connect({ id }, ctx, helloMs);
  } catch (error) {
    if (isTimeout(error) || isKind(error, 'unavailable')) throw error;
    if (isKind(error, 'not_implemented') && version === 3) return agree(client, 2, id, ctx, helloMs);
  }
  return { task, version };
}

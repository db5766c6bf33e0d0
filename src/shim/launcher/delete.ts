import { create, toBinary } from '@bufbuild/protobuf';
import { timestampFromDate } from '@bufbuild/protobuf/wkt';
import { type Context, daemonContext, silentLog } from '../../async/context.ts';
import { DeleteResponseSchema, Task } from '../../gen/containerd/task/v3/task_pb.ts';
import { connectTtrpc } from '../../rpc/ttrpc-client.ts';
import { discardHalfMade } from '../half-made.ts';
import { readRecord } from '../task-record.ts';
import type { LauncherFlags } from './flags.ts';
import { launchedSocketPath, stateDirOf } from './state-dir.ts';

const SIGKILL = 9;
const killedStatus = 137;
/** containerd waits 5 s for the whole program. */
const stepMs = 1_500;

/**
 * Removes what is left of a task whose shim the daemon has lost: by the shim, should it be there all the same, else
 * by its record. Idempotent. @returns DeleteResponse
 */
export async function deleteTask({ namespace, id }: LauncherFlags, bundle: string): Promise<Uint8Array> {
  const record = readRecord(bundle);
  const init = record?.processes[0];
  if (record !== undefined) {
    await askShim(launchedSocketPath(stateDirOf(bundle)), id, daemonContext(silentLog, namespace));
    if (readRecord(bundle) !== undefined) await discardHalfMade(record);
  }
  const exitedAt = timestampFromDate(new Date(init?.exitedAtMs ?? Date.now()));
  const exit = { pid: init?.pid ?? 0, exitStatus: init?.exitStatus ?? killedStatus, exitedAt };
  return toBinary(DeleteResponseSchema, create(DeleteResponseSchema, exit));
}

/** Never throws: what cannot be done in this way is done in the other. */
async function askShim(path: string, id: string, ctx: Context): Promise<void> {
  try {
    using client = await connectTtrpc(path, stepMs);
    const task = client.service(Task);
    await task.kill({ id, signal: SIGKILL, all: true }, ctx, stepMs).catch(() => {});
    await task.wait({ id }, ctx, stepMs).catch(() => {});
    await task.delete({ id }, ctx, stepMs);
  } catch {
    // There is no shim, or none that answers.
  }
}

import { randomUUID } from 'node:crypto';
import { notImplemented } from '../errors/error.ts';
import { parseNamespace } from '../rpc/headers.ts';
import type { RawService } from '../rpc/ttrpc-server.ts';
import { type ShimTask, shimService } from '../rpc/ttrpc-shim.ts';
import type { EventLog } from './event-log.ts';
import { runtimeFeatures } from './runtime-features.ts';
import type { Task } from './task.ts';
import { statusOf } from './task-service.ts';
import type { TaskTable } from './task-table.ts';

/** Grows when an older daemon could not read the answers any more. */
const protocol = 1;
const maxWaitMs = 60_000;

/** What the daemon asks beside the task API; see rpc/ttrpc-shim.ts. */
export function privateService(
  tasks: TaskTable,
  events: EventLog,
  self: { readonly version: string; readonly journal: string; retire(): Promise<void> },
  serve: (namespace: string) => Promise<string> = refuseToServe,
): RawService {
  const instance = randomUUID();
  return shimService({
    async info() {
      return { pid: process.pid, instance, protocol, version: self.version };
    },
    async list(_request, ctx) {
      return { tasks: tasks.list(ctx.namespace).map(describe) };
    },
    async events({ acknowledged, waitMs }, ctx) {
      const wait = Math.min(Math.max(waitMs, 0), maxWaitMs);
      return { instance: self.journal, events: await events.after(acknowledged, wait, ctx.signal) };
    },
    features: ({ program }) => runtimeFeatures(program),
    async serve({ namespace }) {
      return { path: await serve(parseNamespace(namespace)) };
    },
    async reopenLog({ id, execId }, ctx) {
      await (await tasks.get(ctx, id)).process(execId).reopenLog();
      return {};
    },
    async retire() {
      await self.retire();
      return {};
    },
    async steps({ id }, ctx) {
      return { steps: (await tasks.get(ctx, id)).ends.list };
    },
  });
}

async function refuseToServe(): Promise<never> {
  throw notImplemented('sockets of namespaces');
}

function describe({ request, init }: Task): ShimTask {
  const { namespace, id, bundle } = request;
  const exit = init.exit;
  return {
    ...init.paths,
    namespace,
    id,
    bundle,
    pid: init.pid,
    status: statusOf[init.status],
    exitStatus: exit?.status ?? 0,
    ...(exit === undefined ? {} : { exitedAtMs: exit.at.getTime() }),
  };
}

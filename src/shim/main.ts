import { randomBytes } from 'node:crypto';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { flushCompileCache } from 'node:module';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { GrownMemory } from '../async/grown-memory.ts';
import { QuietTimer } from '../async/quiet.ts';
import { messageOf } from '../errors/error.ts';
import { type RawMethod, type RawService, TtrpcServer } from '../rpc/ttrpc-server.ts';
import { returnFreeMemory } from '../sys/free-memory.ts';
import { closeInheritedFds } from '../sys/inherited-fds.ts';
import { tryLockFile } from '../sys/lock-file.ts';
import { namesInSync } from '../sys/names-in.ts';
import { becomeSubreaper } from '../sys/process.ts';
import { adoptTasks } from './adopt.ts';
import { AnotherDaemon } from './another-daemon.ts';
import { defaultRuntime } from './choose-runtime.ts';
import { EventJournal } from './event-journal.ts';
import { EventLog } from './event-log.ts';
import { FdStore } from './fd-store.ts';
import { forwardEvents } from './forward-events.ts';
import { shimLog } from './log.ts';
import { LogWriter } from './log-writer.ts';
import { reapOrphans } from './reaper.ts';
import { ShimEnd } from './shim-end.ts';
import { privateService } from './shim-service.ts';
import { TaskEvents } from './task-events.ts';
import { taskServices } from './task-service.ts';
import { TaskTable } from './task-table.ts';

const { values } = parseArgs({
  options: {
    state: { type: 'string' },
    socket: { type: 'string' },
    events: { type: 'string' },
    debug: { type: 'boolean', default: false },
  },
});
const log = shimLog(values.debug);

/** Answers a daemon that also saw the lock taken: somebody else is starting. */
const exitLocked = 3;

async function main(stateDir: string, socketPath: string, eventsAddress?: string): Promise<void> {
  const socketDir = join(stateDir, 's');
  mkdirSync(socketDir, { recursive: true, mode: 0o700 });
  const lock = tryLockFile(join(socketDir, 'shim.lock'));
  if (lock === undefined) process.exit(exitLocked);
  removeConsoleSockets(socketDir);
  closeInheritedFds();
  becomeSubreaper();
  beKilledBeforeTheDaemonIsNot();
  reapOrphans();
  const journal = new EventJournal(join(socketDir, 'events'));
  const eventLog = new EventLog(journal);
  const around = {
    log,
    logs: new LogWriter(log),
    fds: new FdStore(join(socketDir, 'holder'), log),
    events: new TaskEvents(eventLog),
    consoleSocketPath: () => join(socketDir, `c-${randomBytes(6).toString('hex')}`),
  };
  const tasks = new TaskTable(stateDir, around);
  around.fds.onLost = () => {
    for (const task of tasks.list('')) task.keepAgain();
  };
  await adoptTasks(stateDir, tasks, around);
  const end = new ShimEnd({ ...around, tasks, socketPath });
  end.watch(join(socketDir, 'shim.lock'));
  const memory = new GrownMemory(returnFreeMemory);
  const quiet = new QuietTimer(3000, () => void memory.giveBack());
  const another =
    eventsAddress === undefined ? undefined : new AnotherDaemon({ ...around, stateDir, tasks, socketPath });
  if (eventsAddress !== undefined) void forwardEvents(eventLog, eventsAddress, log);
  const services = [
    ...taskServices(tasks),
    privateService(
      tasks,
      eventLog,
      { journal: journal.id, version: packageVersion(), retire: () => end.retire() },
      another && ((namespace) => another.serve(namespace)),
    ),
  ].map((service) => touching(quiet, service));
  const served = another?.counted(services) ?? services;
  const server = new TtrpcServer({ services: served, log });
  // The lock is held, so a socket that is there belongs to a shim that is dead.
  rmSync(socketPath, { force: true });
  await server.listen(socketPath);
  // Kept now, because a shim seldom ends in a way that lets Node do it; the next one starts without compiling.
  setTimeout(flushCompileCache, 1000).unref();
  // Asked now, so that the first container need not wait for the answer; a missing runtime is said to its creator.
  void defaultRuntime().catch(() => {});
  quiet.touch();
  log.info({ pid: process.pid, socketPath, tasks: tasks.size }, 'shim serves');
}

/** The lock is held: those that are there belong to a shim that was killed while a terminal was on its way. */
function removeConsoleSockets(socketDir: string): void {
  for (const name of namesInSync(socketDir).filter((name) => /^c-[0-9a-f]{12}$/.test(name)))
    rmSync(join(socketDir, name), { force: true });
}

/** Every call puts off the moment in which memory is given back. */
function touching(quiet: QuietTimer, { name, methods }: RawService): RawService {
  const touched = [...methods].map(([method, run]): [string, RawMethod] => [
    method,
    (payload, ctx) => {
      quiet.touch();
      return run(payload, ctx);
    },
  ]);
  return { name, methods: new Map(touched) };
}

/** One more than the daemon's, as containerd sets it for its shims. Children get their own from the runtime. */
function beKilledBeforeTheDaemonIsNot(): void {
  try {
    const own = Number(readFileSync('/proc/self/oom_score_adj', 'utf8'));
    writeFileSync('/proc/self/oom_score_adj', String(Math.min(own + 1, 1000)));
  } catch (error) {
    log.warn({ error: messageOf(error) }, 'cannot set oom_score_adj');
  }
}

const packageVersion = (): string =>
  (JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as { version: string })
    .version;

process.umask(0o022);
// Containers outlive whoever signals a process group; what ends the shim is in shim-end.
for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP', 'SIGPIPE'] as const) process.on(signal, () => {});
process.on('uncaughtException', (error) => log.error({ error: error.stack ?? error.message }, 'uncaught'));
process.on('unhandledRejection', (error) => log.error({ error: messageOf(error) }, 'unhandled'));

if (values.state === undefined || values.socket === undefined) {
  process.stderr.write('usage: berth-shim --state DIR --socket PATH [--events ADDRESS] [--debug]\n');
  process.exit(2);
}
process.title = `berth-shim ${values.state}`;
await main(values.state, values.socket, values.events).catch((error) => {
  log.error({ error: messageOf(error) }, 'shim cannot start');
  process.exit(1);
});

import { join } from 'node:path';
import type { Logger } from 'pino';
import { failedPrecondition, messageOf } from '../errors/error.ts';
import type { Fd } from '../sys/fd.ts';
import { closeInheritedFds } from '../sys/inherited-fds.ts';
import { tryLockFile } from '../sys/lock-file.ts';
import type { LoadedConfig } from './config/load.ts';
import { Daemon } from './daemon.ts';
import { clearDirectory, layoutOf, prepareDirectories } from './directories.ts';
import { makeLogger } from './logger.ts';
import { notifySystemd } from './notify.ts';
import { joinCgroup, setOomScore } from './own-process.ts';
import { RunningConfig } from './running-config.ts';

const drainMs = 10_000;
/** What callers are told of a broken disk has so long to leave. */
const lastWordsMs = 200;
/** `EX_IOERR` of sysexits.h. */
const diskFailed = 74;

/**
 * Runs the daemon until SIGTERM or SIGINT; containers do not notice its end. SIGHUP reads the configuration again.
 * @throws failed_precondition when another daemon holds root or state
 */
export async function startDaemon(read: () => LoadedConfig, version: string): Promise<void> {
  refuseUncheckedTls();
  closeInheritedFds();
  // Modes are said where files are made; a umask must not widen or narrow them.
  process.umask(0o022);
  let log: Logger = makeLogger({ logLevel: 'info', logFormat: 'text' });
  const running = new RunningConfig(read, (config) => {
    log = makeLogger(config);
    return log;
  });
  const config = running.current;
  const layout = layoutOf(config.root, config.state);
  prepareDirectories(layout, config);
  // Held until this process ends, however it ends.
  const locks = [lock(layout.root, 'root'), lock(layout.state, 'state')];
  // Mounts that are needed for a moment, by workers too, are made where the next start finds what a crash left.
  process.env.TMPDIR = config.tempDir || layout.temp;
  await clearDirectory(layout.temp);
  joinCgroup(config.cgroupPath);
  setOomScore(config.oomScore);
  log.info({ version, pid: process.pid, root: config.root, state: config.state }, 'starting');
  const daemon = await Daemon.open(running, version, log);
  running.parts = [
    { fields: ['logLevel'], apply: ({ logLevel }) => void Object.assign(log, { level: logLevel }) },
    { fields: ['oomScore'], apply: ({ oomScore }) => setOomScore(oomScore) },
    ...daemon.liveParts,
  ];
  handleSignals(daemon, running, log, locks);
  daemon.onBroken((error) => endBroken(error, log));
  await daemon.listen();
  log.info({ address: config.address }, 'serving');
  notifySystemd('READY=1', log);
}

/** It would turn certificate checks off wherever nobody says otherwise. @throws failed_precondition */
function refuseUncheckedTls(): void {
  if (process.env.NODE_TLS_REJECT_UNAUTHORIZED !== '0') return;
  throw failedPrecondition(
    'NODE_TLS_REJECT_UNAUTHORIZED=0 would trust any server: unset it, and say skip_verify in the hosts.toml of the one registry that needs it',
  );
}

function lock(directory: string, name: string): Fd {
  const held = tryLockFile(join(directory, 'berthd.lock'));
  if (held) return held;
  throw failedPrecondition(`another berthd is using ${directory}: stop it, or choose another --${name}`);
}

function handleSignals(daemon: Daemon, running: RunningConfig, log: Logger, locks: readonly Fd[]): void {
  let stopping = false;
  const stop = (signal: string): void => {
    if (stopping) return;
    stopping = true;
    void shutDown(daemon, signal, log, locks);
  };
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => stop(signal));
  // Without a listener, Node would open a debugger's port to every user of this machine.
  process.on('SIGUSR1', () => log.info({ dump: daemon.dump() }, 'what the daemon is doing'));
  process.on('SIGHUP', () => void reload(running, log));
  // Both are bugs: say so and die; whatever was acknowledged is on disk and the next start reconciles the rest.
  for (const event of ['uncaughtException', 'unhandledRejection'] as const) {
    process.on(event, (error: unknown) => {
      log.fatal({ err: error instanceof Error ? error.stack : String(error) }, event);
      process.exit(70);
    });
  }
}

/**
 * What the kernel shows of the log may differ from what is on disk, so the database is not closed, only left: the next start
 * reads what has the right checksums. Whoever supervises starts it; containers go on.
 */
function endBroken(error: unknown, log: Logger): void {
  log.fatal(
    { error: messageOf(error) },
    'the disk did not take the metadata: ending, to start from what it has',
  );
  setTimeout(() => process.exit(diskFailed), lastWordsMs);
}

async function shutDown(daemon: Daemon, signal: string, log: Logger, locks: readonly Fd[]): Promise<void> {
  log.info({ signal }, 'stopping; containers go on');
  notifySystemd('STOPPING=1', log);
  let status = 0;
  try {
    await daemon.close(drainMs);
  } catch (error) {
    log.error({ error: messageOf(error) }, 'could not stop cleanly');
    status = 1;
  }
  for (const held of locks) held.close();
  log.info({}, 'stopped');
  process.exit(status);
}

/** Takes over what can change while running. A bad file changes nothing. */
async function reload(running: RunningConfig, log: Logger): Promise<void> {
  notifySystemd(`RELOADING=1\nMONOTONIC_USEC=${process.hrtime.bigint() / 1000n}`, log);
  try {
    await running.reload(new AbortController().signal);
  } catch (error) {
    log.error({ error: messageOf(error) }, 'configuration was not reloaded');
  }
  notifySystemd('READY=1', log);
}

import { constants } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Exit, Process } from '../client/index.ts';
import { isKind, messageOf } from '../errors/error.ts';
import type { Cli } from './cli.ts';
import { outcome } from './command.ts';
import { CliError } from './failure.ts';
import { DetachFilter, exitOnSignals, followSize, keepLineFeeds, rawTerminal } from './terminal.ts';

export interface SessionOptions {
  /** The process has a terminal: stdin goes raw and sizes are followed. */
  readonly terminal: boolean;
  /** Send signals that reach this program to the process. */
  readonly forwardSignals: boolean;
  /** Bytes that end the session and leave the process running; with a terminal only. */
  readonly detachKeys: readonly number[];
  /** The process's start; signals, sizes and input wait for it. */
  readonly start: () => Promise<unknown>;
}

/** How long a vanished daemon may take to come back once the output has ended. */
const daemonGraceMs = 10_000;
const retryMs = 200;
/** How long output may go on after the process ended: others may hold its streams. */
const outputGraceMs = 2_000;

/**
 * Connects this program's streams to a process until it ends. The streams do not go through the daemon, so a restart
 * of the daemon in between is waited for, not an end.
 * @returns how the process ended, or undefined when the user detached
 */
export async function runSession(
  cli: Cli,
  target: Process,
  options: SessionOptions,
): Promise<Exit | undefined> {
  using _stdio = target;
  const stop = new AbortController();
  using _stop = { [Symbol.dispose]: () => stop.abort() };
  const raw = wantsRaw(cli, target, options);
  const change = raw && cli.stdout.isTTY ? keepLineFeeds() : undefined;
  const started = Promise.withResolvers<void>();
  // Only then: what a runtime writes there when it cannot start the process is in the error, too.
  const output = started.promise.then(() =>
    Promise.all([copyOut(target.stdout, cli.stdout, change), copyOut(target.stderr, cli.stderr)]),
  );
  const exit = exitOf(target, output, stop.signal);
  exit.catch(() => {});
  using _raw = raw ? rawTerminal(cli.stdin) : undefined;
  using _signals = options.forwardSignals ? forwardSignals(target) : exitOnSignals();
  const sized = options.terminal && cli.stdout.isTTY;
  // Before the start where the runtime has a terminal by then, so that the process finds the right size.
  if (sized) await target.resize(cli.stdout.columns, cli.stdout.rows).catch(() => {});
  await startThrough(options.start, stop.signal);
  outcome.closedPipe = () => leftRunning(cli, target);
  started.resolve();
  using _size = sized ? followSize(cli.stdout, resizer(target)) : undefined;
  const ended = await Promise.race([exit, copyIn(cli, target, options, stop.signal)]);
  if (ended !== undefined) await Promise.race([output, sleep(outputGraceMs, undefined, { ref: false })]);
  else if (raw) cli.stderr.write('\r\n');
  return ended;
}

/** As a program that SIGPIPE ended. */
const brokenPipe = 141;

/** Nobody reads the output any more, as after `| head`: as in docker the process goes on, which is worth a word. */
function leftRunning(cli: Cli, { containerId, execId }: Process): number {
  const id = containerId.slice(0, 12);
  const what = execId === '' ? `container ${id}` : `the process in container ${id}`;
  cli.note(`berth: the output was closed; ${what} goes on\nhint: end it: berth rm -f ${id}`);
  return brokenPipe;
}

const wantsRaw = (cli: Cli, target: Process, options: SessionOptions): boolean =>
  options.terminal && cli.stdin.isTTY && target.stdin !== undefined;

const resizer = (target: Process) => (columns: number, rows: number) => {
  target.resize(columns, rows).catch(() => {});
};

/** Starts across a restart of the daemon, which may have started the process before it could say so. */
async function startThrough(start: () => Promise<unknown>, signal: AbortSignal): Promise<void> {
  const deadline = Date.now() + daemonGraceMs;
  for (let again = false; ; again = true) {
    try {
      await start();
      return;
    } catch (error) {
      if (again && isKind(error, 'failed_precondition')) return;
      if (!isKind(error, 'unavailable') || Date.now() > deadline) throw error;
    }
    await sleep(retryMs, undefined, { signal });
  }
}

/** Waits across restarts of the daemon for as long as the streams show that the process lives. */
async function exitOf(target: Process, output: Promise<unknown>, signal: AbortSignal): Promise<Exit> {
  let silentSince: number | undefined;
  const quiet = () => {
    silentSince = Date.now();
  };
  output.then(quiet, quiet);
  for (;;) {
    try {
      return await target.wait({ signal });
    } catch (error) {
      if (!isKind(error, 'unavailable')) throw error;
      if (silentSince !== undefined && Date.now() - silentSince > daemonGraceMs) {
        throw new CliError(`the daemon went away, the exit status is unknown: ${messageOf(error)}`, {
          exitCode: 125,
          hint: 'start the daemon again; the container may still be running: berth ps -a',
          cause: error,
        });
      }
    }
    await sleep(retryMs, undefined, { signal });
  }
}

async function copyOut(
  from: ReadableStream<Uint8Array> | undefined,
  to: NodeJS.WriteStream,
  change: (chunk: Uint8Array) => Uint8Array = (chunk) => chunk,
): Promise<void> {
  if (from === undefined) return;
  for await (const chunk of from) {
    await new Promise<void>((resolve) => to.write(change(chunk), () => resolve()));
  }
}

/** Resolves when the user detaches, else never; input that ends is the process's to notice. */
function copyIn(cli: Cli, target: Process, options: SessionOptions, signal: AbortSignal): Promise<undefined> {
  return new Promise((detach, reject) => {
    if (target.stdin === undefined) return;
    const filter = options.terminal ? new DetachFilter(options.detachKeys) : undefined;
    pump(cli, target, target.stdin, filter, signal).then((how) => {
      if (how === 'detached') detach(undefined);
    }, reject);
  });
}

async function pump(
  cli: Cli,
  target: Process,
  to: WritableStream<Uint8Array>,
  filter: DetachFilter | undefined,
  signal: AbortSignal,
): Promise<'detached' | 'ended'> {
  const writer = to.getWriter();
  writer.closed.catch(() => {});
  signal.addEventListener('abort', () => void cli.stdin.pause(), { once: true });
  for await (const chunk of cli.stdin as AsyncIterable<Uint8Array>) {
    const { pass, detached } = filter?.filter(chunk) ?? { pass: chunk, detached: false };
    if (pass.byteLength > 0 && !(await written(writer, pass))) return 'ended';
    if (detached) return 'detached';
  }
  await writer.close().catch(() => {});
  await target.closeStdin().catch(() => {});
  return 'ended';
}

/** False when the process no longer reads. */
const written = (writer: WritableStreamDefaultWriter<Uint8Array>, data: Uint8Array): Promise<boolean> =>
  writer.write(data).then(
    () => true,
    () => false,
  );

const forwarded = ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT', 'SIGUSR1', 'SIGUSR2', 'SIGCONT'] as const;
const impatience = 3;

/** A third Ctrl-C without effect ends this program, as in docker. */
function forwardSignals(target: Process): Disposable {
  let interrupts = 0;
  const forward = (name: NodeJS.Signals) => {
    if (name === 'SIGINT' && ++interrupts >= impatience) process.exit(130);
    target.kill(constants.signals[name]).catch(() => {});
  };
  for (const name of forwarded) process.on(name, forward);
  return {
    [Symbol.dispose]() {
      for (const name of forwarded) process.off(name, forward);
    },
  };
}

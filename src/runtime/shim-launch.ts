import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { closeSync, mkdirSync, openSync } from 'node:fs';
import { extname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { unavailable } from '../errors/error.ts';
import { connectTtrpc, type TtrpcClient } from '../rpc/ttrpc-client.ts';

/** How the shim is started. */
export interface ShimLaunch {
  readonly stateDir: string;
  /** What the shim and the runtimes it runs get; nothing else of the daemon's environment. Default: a plain PATH. */
  readonly environment?: Readonly<Record<string, string>> | undefined;
  readonly debug?: boolean;
  /** Of the shim that this daemon would start; one that says another is replaced. Default: any will do. */
  readonly shimVersion?: string;
  /** How long it has to answer. Default 15 s. */
  readonly shimStartMs?: number;
}

/** A plain PATH. */
export const defaultEnvironment: Readonly<Record<string, string>> = {
  PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
};
const startTimeoutMs = 15_000;
/** Its heap stays small, so young garbage is collected early instead of growing the process. */
const nodeFlags = ['--max-semi-space-size=1', '--max-old-space-size=256', '--expose-gc', '--no-warnings'];

/** The one socket of the shim of a state directory. */
export function shimSocketPath(stateDir: string): string {
  const hash = createHash('sha256').update(stateDir).digest('hex').slice(0, 16);
  return join(stateDir, 's', hash);
}

/**
 * Connects to the shim of a state directory, starting it when nobody answers. The shim runs in a session of its own
 * and lives on when the daemon ends, however it ends; a lock file lets only one of two that start at once go on.
 * @throws unavailable (it does not start)
 */
export async function connectShim(launch: ShimLaunch): Promise<TtrpcClient> {
  const path = shimSocketPath(launch.stateDir);
  try {
    return await connectTtrpc(path);
  } catch {
    const exited = spawnShim(launch, path);
    return connectStarting(path, exited, launch.shimStartMs);
  }
}

function spawnShim({ stateDir, environment, debug }: ShimLaunch, socketPath: string): Promise<number | null> {
  mkdirSync(join(stateDir, 's'), { recursive: true, mode: 0o700 });
  const logFd = openSync(join(stateDir, 's', 'shim.log'), 'a', 0o600);
  const args = [...nodeFlags, shimProgram(), '--state', stateDir, '--socket', socketPath];
  try {
    const shim = spawn(process.execPath, debug === true ? [...args, '--debug'] : args, {
      cwd: '/',
      detached: true,
      stdio: ['ignore', logFd, logFd],
      env: { ...(environment ?? defaultEnvironment) },
    });
    shim.unref();
    return new Promise((resolve) => shim.once('exit', resolve).once('error', () => resolve(null)));
  } finally {
    closeSync(logFd);
  }
}

/** Beside this module, in whatever form this one is: TypeScript in a checkout, JavaScript in the package. */
function shimProgram(): string {
  const extension = extname(fileURLToPath(import.meta.url));
  return fileURLToPath(new URL(`../shim/main${extension}`, import.meta.url));
}

async function connectStarting(
  path: string,
  exited: Promise<number | null>,
  startMs = startTimeoutMs,
): Promise<TtrpcClient> {
  let exitCode: number | null | undefined;
  void exited.then((code) => {
    exitCode = code;
  });
  const endMs = Date.now() + startMs;
  for (;;) {
    try {
      return await connectTtrpc(path);
    } catch (error) {
      // Code 3: another one holds the lock, and will listen in a moment.
      if (exitCode !== undefined && exitCode !== 3)
        throw unavailable(`berth-shim ended with ${exitCode} while starting`, error);
      if (Date.now() > endMs) throw unavailable('berth-shim does not answer', error);
    }
    await sleep(10);
  }
}

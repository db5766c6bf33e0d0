import { spawn } from 'node:child_process';
import { closeSync, mkdirSync, openSync, writeFileSync } from 'node:fs';
import { extname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { daemonContext, silentLog } from '../../async/context.ts';
import { invalidArgument, messageOf, unavailable } from '../../errors/error.ts';
import {
  BootstrapParamsSchema,
  BootstrapResultSchema,
} from '../../gen/containerd/runtime/bootstrap/v1/bootstrap_pb.ts';
import { connectTtrpc } from '../../rpc/ttrpc-client.ts';
import { shimClient } from '../../rpc/ttrpc-shim.ts';
import type { LauncherFlags } from './flags.ts';
import { launchedSocketPath, stateDirOf } from './state-dir.ts';

type Environment = Readonly<Record<string, string | undefined>>;

const startTimeoutMs = 15_000;
const helloMs = 5_000;
const nodeFlags = ['--max-semi-space-size=1', '--max-old-space-size=256', '--expose-gc', '--no-warnings'];
/** All that the shim and what it runs get of the daemon's environment (CVE-2026-57231). */
const passedOn = ['PATH', 'NODE_COMPILE_CACHE'];

/**
 * Finds the daemon's one shim, or starts it.
 * @param input what the daemon wrote: BootstrapParams (containerd 2.3) or the runtime options (before)
 * @returns what it wants to read: BootstrapResult, or the bare address
 */
export async function startShim(
  flags: LauncherFlags,
  bundle: string,
  input: Uint8Array,
  env: Environment,
): Promise<string | Uint8Array> {
  const stateDir = stateDirOf(bundle);
  const params = bootstrapParams(flags, input);
  const events = params?.containerdTtrpcAddress || env.TTRPC_ADDRESS || '';
  if (events === '') throw invalidArgument('TTRPC_ADDRESS must be set');
  const address = `unix://${await ensureShim(stateDir, flags, events, env)}`;
  // Where containerd before 2.0 looks after a restart.
  writeFileSync(join(bundle, 'address'), address, { mode: 0o600 });
  if (params === undefined) return address;
  const result = create(BootstrapResultSchema, { version: 3, address, protocol: 'ttrpc' });
  return toBinary(BootstrapResultSchema, result);
}

/** Runtime options in the same place read as other params, if as any; these name the task of the flags. */
function bootstrapParams({ namespace, id }: LauncherFlags, input: Uint8Array) {
  try {
    const params = fromBinary(BootstrapParamsSchema, input);
    return params.instanceId === id && params.namespace === namespace ? params : undefined;
  } catch {
    return undefined;
  }
}

/** @returns the socket of the namespace. A shim that has answered stays for a while: every call puts off its end. */
async function ensureShim(
  stateDir: string,
  { namespace, debug }: LauncherFlags,
  events: string,
  env: Environment,
): Promise<string> {
  const path = launchedSocketPath(stateDir);
  const args = ['--state', stateDir, '--socket', path, '--events', events, ...(debug ? ['--debug'] : [])];
  let served = await askToServe(path, namespace);
  for (const endMs = Date.now() + startTimeoutMs; served === undefined && Date.now() < endMs; ) {
    let isOver = false;
    void spawnShim(stateDir, args, env).then(() => {
      isOver = true;
    });
    for (; served === undefined && !isOver && Date.now() < endMs; await sleep(10))
      served = await askToServe(path, namespace);
  }
  if (served !== undefined) return served;
  throw unavailable(`berth-shim does not answer: see ${join(stateDir, 's/shim.log')}`);
}

/** undefined where there is no shim. @throws unavailable (it hangs) */
async function askToServe(path: string, namespace: string): Promise<string | undefined> {
  try {
    using client = await connectTtrpc(path, helloMs);
    return (await shimClient(client, helloMs).serve({ namespace }, daemonContext(silentLog))).path;
  } catch (error) {
    if (/ENOENT|ECONNREFUSED|closed/.test(messageOf(error))) return undefined;
    throw error;
  }
}

/** Resolves when the shim has ended: one that found the lock taken leaves at once. */
function spawnShim(stateDir: string, args: readonly string[], env: Environment): Promise<unknown> {
  const dir = join(stateDir, 's');
  mkdirSync(dir, { recursive: true, mode: 0o700 });
  const logFd = openSync(join(dir, 'shim.log'), 'a', 0o600);
  const program = fileURLToPath(new URL(`../main${extname(import.meta.url)}`, import.meta.url));
  const kept = passedOn.flatMap((name) => (env[name] === undefined ? [] : [[name, env[name]]]));
  try {
    const shim = spawn(process.execPath, [...nodeFlags, program, ...args], {
      cwd: '/',
      detached: true,
      stdio: ['ignore', logFd, logFd],
      env: Object.fromEntries(kept),
    });
    shim.unref();
    return new Promise((resolve) => shim.once('exit', resolve).once('error', resolve));
  } finally {
    closeSync(logFd);
  }
}

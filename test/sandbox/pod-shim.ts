import { spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { appendFileSync, existsSync, openSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { create, fromBinary, type Message, toBinary } from '@bufbuild/protobuf';
import { timestampNow } from '@bufbuild/protobuf/wkt';
import { type Context, silentLog } from '../../src/async/context.ts';
import { failedPrecondition, unknown } from '../../src/errors/error.ts';
import { BootstrapResultSchema } from '../../src/gen/containerd/runtime/bootstrap/v1/bootstrap_pb.ts';
import { Sandbox } from '../../src/gen/containerd/runtime/sandbox/v1/sandbox_pb.ts';
import { DeleteResponseSchema, Task } from '../../src/gen/containerd/task/v3/task_pb.ts';
import { GrpcServer } from '../../src/rpc/grpc-server.ts';
import { bindService } from '../../src/rpc/service.ts';
import { connectTtrpc } from '../../src/rpc/ttrpc-client.ts';
import { rawService, TtrpcServer } from '../../src/rpc/ttrpc-server.ts';
import { listenUnix } from '../../src/rpc/unix-listener.ts';

/**
 * A shim that serves the sandbox API: its containers are those of containerd-shim-runc-v2, one process for all of a
 * sandbox, to which the task API is passed on. Usage: pod-shim.ts SHIM-RUNC-V2 ARGS-OF-CONTAINERD… start|delete
 * What is asked of it is left in the bundle's file `calls`. Annotations: `fail=<method>` makes that method fail.
 */
const [runc = '', ...args] = process.argv.slice(2);
const action = args.at(-1);
const id = args[args.indexOf('-id') + 1] ?? '';
const bundle = process.cwd();
/** What it speaks to the daemon: `grpc` where POD_SHIM_PROTOCOL says so. */
const protocol = process.env.POD_SHIM_PROTOCOL ?? 'ttrpc';
const socket = join(
  process.env.POD_SHIM_SOCKETS ?? bundle,
  createHash('sha256').update(bundle).digest('hex').slice(0, 16),
);

if (action === 'start') start();
else if (action === 'delete') remove();
else await serve(action ?? '');

function start(): void {
  const inner = spawnSync(runc, args, { input: readFileSync(0), maxBuffer: 1 << 20 });
  if (inner.status !== 0) {
    process.stderr.write(inner.stderr);
    process.exit(1);
  }
  const { address } = fromBinary(BootstrapResultSchema, inner.stdout);
  // That of a shim of the same sandbox that was killed.
  rmSync(socket, { force: true });
  const log = openSync(join(bundle, 'pod-shim.log'), 'a');
  const child = spawn(process.execPath, [import.meta.filename, runc, '-id', id, address], {
    detached: true,
    stdio: ['ignore', log, log],
    env: { ...process.env },
  });
  child.unref();
  const until = Date.now() + 20_000;
  while (!existsSync(socket) && Date.now() < until)
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 10);
  process.stdout.write(JSON.stringify({ version: 3, address: `unix://${socket}`, protocol }));
}

function remove(): void {
  spawnSync(runc, args, { stdio: 'ignore' });
  const deleted = create(DeleteResponseSchema, { exitStatus: 137, exitedAt: timestampNow() });
  process.stdout.write(toBinary(DeleteResponseSchema, deleted));
}

async function serve(innerAddress: string): Promise<void> {
  const inner = await connectTtrpc(innerAddress.replace('unix://', ''));
  const ended = Promise.withResolvers<void>();
  let [state, fail] = ['', ''];
  const asked = (method: string): void => {
    appendFileSync(join(bundle, 'calls'), `${method}\n`);
    if (fail === method) throw unknown(`${method} was told to fail`);
  };
  const sandbox = bindService(Sandbox, {
    async createSandbox({ annotations, netnsPath, bundlePath }) {
      fail = annotations.fail ?? '';
      asked('create');
      if (bundlePath !== bundle) throw failedPrecondition(`bundle is ${bundlePath}`);
      appendFileSync(join(bundle, 'calls'), `netns ${netnsPath}\n`);
      state = 'CREATED';
      return {};
    },
    async startSandbox() {
      asked('start');
      state = 'READY';
      return { pid: process.pid, createdAt: timestampNow() };
    },
    async platform() {
      return { platform: { os: 'linux', architecture: 'pod', variant: 'v1' } };
    },
    async stopSandbox({ timeoutSecs }) {
      asked('stop');
      appendFileSync(join(bundle, 'calls'), `timeout ${timeoutSecs}\n`);
      state = 'NOTREADY';
      ended.resolve();
      return {};
    },
    async waitSandbox() {
      await ended.promise;
      return { exitStatus: 7, exitedAt: timestampNow() };
    },
    async sandboxStatus({ sandboxId, verbose }) {
      asked('status');
      const info: Record<string, string> = verbose ? { of: 'pod-shim' } : {};
      return { sandboxId, pid: process.pid, state, info, createdAt: timestampNow() };
    },
    async pingSandbox() {
      return {};
    },
    async shutdownSandbox() {
      asked('shutdown');
      await inner
        .service(Task)
        .shutdown({ id, now: true }, { signal, namespace: 'x', log: silentLog, caller })
        .catch(() => {});
      setImmediate(() => process.exit(0));
      return {};
    },
    async sandboxMetrics({ sandboxId }) {
      return {
        metrics: {
          id: sandboxId,
          timestamp: timestampNow(),
          data: { typeUrl: 'pod/metrics', value: Buffer.from('m') },
        },
      };
    },
  });
  const { signal } = new AbortController();
  const caller = { kind: 'test' } as const;
  const passOn = Task.methods.map((method) => {
    const { input, output, localName, name } = method;
    const call = async (request: Message, ctx: Context) =>
      fromBinary(output, await inner.call(Task.typeName, name, toBinary(input, request), ctx, 600_000));
    return [localName, call] as const;
  });
  const tasks = { desc: Task, impl: Object.fromEntries(passOn) };
  if (protocol === 'grpc') {
    const server = new GrpcServer([sandbox, tasks]);
    await listenUnix(socket, (connection) => server.accept(connection));
  } else {
    const services = [rawService(sandbox), rawService(tasks)];
    // Whoever sees it may connect: it gets its name once it listens.
    await new TtrpcServer({ services, log: silentLog }).listen(`${socket}.early`);
    renameSync(`${socket}.early`, socket);
  }
  void inner.closed.then(() => process.exit(0));
}

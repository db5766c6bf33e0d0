import { appendFileSync } from 'node:fs';
import { notFound } from '../../src/errors/error.ts';
import { GrpcServer } from '../../src/rpc/grpc-server.ts';
import { listenUnix } from '../../src/rpc/unix-listener.ts';
import type { SandboxController } from '../../src/runtime/sandbox/controller.ts';
import { sandboxControllersService } from '../../src/services/sandbox-controllers.ts';

/** A sandboxer `pods` in a process of its own, which keeps its sandboxes in memory. Usage: sandboxer.ts SOCKET CALLS-FILE */
const [socket = '', calls = ''] = process.argv.slice(2);
const states = new Map<string, string>();
const exits = new Map<string, PromiseWithResolvers<{ exitStatus: number; exitedAt: Date }>>();

const note = (call: string, namespace: string, id: string): void =>
  appendFileSync(calls, `${call} ${namespace}/${id}\n`);
const stateOf = (id: string): string => {
  const state = states.get(id);
  if (state === undefined) throw notFound(`pod ${id}`);
  return state;
};

const pods: SandboxController = {
  async create(ctx, { sandbox, netnsPath, annotations }) {
    note(`create ${sandbox.runtime.name} ${netnsPath} ${annotations.a}`, ctx.namespace, sandbox.id);
    states.set(sandbox.id, 'created');
    exits.set(sandbox.id, Promise.withResolvers());
  },
  async start(ctx, id) {
    stateOf(id);
    note('start', ctx.namespace, id);
    states.set(id, 'running');
    return {
      pid: process.pid,
      createdAt: new Date(1000),
      labels: { l: 'v' },
      address: 'unix:///pod',
      version: 3,
    };
  },
  async platform(_ctx, id) {
    stateOf(id);
    return { os: 'linux', architecture: 'riscv64', variant: '' };
  },
  async stop(ctx, id, timeoutSeconds) {
    note(`stop ${timeoutSeconds}`, ctx.namespace, id);
    exits.get(id)?.resolve({ exitStatus: 3, exitedAt: new Date(2000) });
  },
  async wait(_ctx, id) {
    stateOf(id);
    return (await exits.get(id)?.promise) ?? { exitStatus: 0, exitedAt: new Date(0) };
  },
  async status(_ctx, id, verbose) {
    const info: Record<string, string> = verbose ? { i: 'v' } : {};
    return {
      pid: process.pid,
      state: stateOf(id),
      info,
      address: 'unix:///pod',
      version: 3,
      createdAt: new Date(1000),
    };
  },
  async shutdown(ctx, id) {
    note('shutdown', ctx.namespace, id);
    states.delete(id);
  },
  async metrics(_ctx, id) {
    return { id, timestamp: new Date(1000), data: { typeUrl: 'm', value: Buffer.from('x') } };
  },
  async update(ctx, id, sandbox, fields) {
    note(`update ${sandbox.labels.l} ${fields}`, ctx.namespace, id);
  },
};

const server = new GrpcServer([sandboxControllersService(new Map([['pods', pods]]))]);
await listenUnix(socket, (connection) => server.accept(connection));

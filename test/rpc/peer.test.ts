import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import type net from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { it } from 'node:test';
import { peerOf } from '../../src/daemon/peer.ts';
import { Version } from '../../src/gen/containerd/services/version/v1/version_pb.ts';
import type { CallInfo } from '../../src/rpc/grpc-call.ts';
import { createClient, openChannel } from '../../src/rpc/grpc-client.ts';
import { GrpcServer } from '../../src/rpc/grpc-server.ts';
import { listenUnix } from '../../src/rpc/unix-listener.ts';
import { versionService } from '../../src/services/version.ts';

it('a call knows its caller from the kernel, each connection its own', async () => {
  const dir = await mkdtemp(path.join(tmpdir(), 'berth-peer-'));
  const socketPath = path.join(dir, 's');
  const seen: CallInfo[] = [];
  const server = new GrpcServer([versionService('2.0.0', '')], {
    peerOf,
    before: (call) => void seen.push(call),
  });
  const accepted: net.Socket[] = [];
  const listener = await listenUnix(socketPath, (socket) => {
    accepted.push(socket);
    server.accept(socket);
  });
  try {
    const dial = `require('node:net').connect(${JSON.stringify(socketPath)}); setTimeout(() => {}, 60000)`;
    const child = spawn(process.execPath, ['-e', dial]);
    while (accepted.length === 0) await new Promise((resolve) => setTimeout(resolve, 10));
    assert.equal(accepted[0] && peerOf(accepted[0])?.pid, child.pid);
    child.kill();
    await once(child, 'exit');
    using channel = openChannel(socketPath);
    await createClient(Version, channel).version({});
    assert.deepEqual(seen[0]?.ctx.caller, { kind: 'grpc', uid: process.getuid?.(), pid: process.pid });
  } finally {
    await listener[Symbol.asyncDispose]();
    await server.close();
    await rm(dir, { recursive: true });
  }
});

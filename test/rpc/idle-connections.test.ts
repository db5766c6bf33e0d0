import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { describe, it } from 'node:test';
import { until } from '../kit/until.ts';
import { TestServer } from './server.ts';

const count = 10_000;

/** Opens connections, speaks the HTTP/2 preface on each, then does nothing. A process of its own: both ends need descriptors. */
const idler = `
  const net = require('node:net');
  const hello = Buffer.concat([Buffer.from('PRI * HTTP/2.0\\r\\n\\r\\nSM\\r\\n\\r\\n'), Buffer.from([0,0,0,4,0,0,0,0,0])]);
  let open = 0;
  const next = () => {
    const socket = net.connect(process.argv[1]);
    socket.on('error', () => setTimeout(next, 5)); // EAGAIN: the backlog is full
    socket.once('data', () => { if (++open === ${count}) console.log('open'); });
    socket.once('connect', () => { socket.write(hello); if (--left > 0) next(); });
  };
  let left = ${count};
  next();
`;

describe('the gRPC socket with idle connections', () => {
  it(`answers beside ${count} of them, and frees them`, { timeout: 60_000 }, async () => {
    await using server = await TestServer.start();
    const rss = process.memoryUsage().rss;
    const child = spawn(process.execPath, ['-e', idler, server.socketPath], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    try {
      await once(child.stdout, 'data');
      assert.ok(server.server.connections >= count);
      const started = performance.now();
      assert.ok(await server.answers());
      const tookMs = performance.now() - started;
      assert.ok(tookMs < 20_000, `took ${tookMs} ms`);
      const eachBytes = (process.memoryUsage().rss - rss) / count;
      assert.ok(eachBytes < 64 * 1024, `${eachBytes} bytes a connection`);
    } finally {
      child.kill();
    }
    await until(() => server.server.connections <= 1, 'the connections to go');
  });
});

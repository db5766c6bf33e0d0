import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { after, before, describe, test } from 'node:test';
import { connect } from '../../src/client/index.ts';
import { isKind } from '../../src/errors/error.ts';
import { type Generation, generations, runLine } from '../clients/table.ts';
import { violationsAtRest } from '../kit/checker.ts';
import { startDaemon, type TestDaemon } from '../kit/daemon.ts';
import { openFds } from '../kit/open-fds.ts';
import { until } from '../kit/until.ts';

const mebibyte = 1 << 20;
const connections = 10_000;

/** Connects, speaks the HTTP/2 preface, and then only keeps the connection open. */
const idler = `
  const net = require('node:net');
  const hello = Buffer.concat([Buffer.from('PRI * HTTP/2.0\\r\\n\\r\\nSM\\r\\n\\r\\n'), Buffer.from([0,0,0,4,0,0,0,0,0])]);
  let left = ${connections}, open = 0;
  const next = () => {
    const socket = net.connect(process.argv[1]);
    socket.on('error', () => setTimeout(next, 5));
    socket.once('data', () => { if (++open === ${connections}) console.log('open'); });
    socket.once('connect', () => { socket.write(hello); if (--left > 0) next(); });
  };
  next();
`;

let daemon: TestDaemon;
before(async () => {
  daemon = await startDaemon({ logLevel: 'info' });
});
after(() => daemon[Symbol.asyncDispose]());

describe('messages of 20 MiB', () => {
  test('are refused as resource exhausted with the limit, and the connection goes on', async () => {
    using client = connect({ address: daemon.address });
    const labels = { huge: 'x'.repeat(20 * mebibyte) };
    await assert.rejects(
      client.namespaces.create('big', labels),
      (error: Error) =>
        isKind(error, 'resource_exhausted') && /message.*(larger|limit|exceeds|max)/i.test(error.message),
    );
    assert.match((await client.version()).version, /^2\./);
    assert.deepEqual((await client.namespaces.list()).map(({ name }) => name).includes('big'), false);
  });

  for (const generation of Object.keys(generations) as Generation[]) {
    test(`of ctr ${generation} are refused in words, and 20 MiB of content in usual chunks are taken`, async () => {
      const line = (text: string) => runLine(daemon, generation, text);
      const { pid } = daemon;
      // Too long for a command line: ctr reads a container's spec from a file.
      await line(
        `printf '{"ociVersion":"1.0.0","process":{"cwd":"/","args":["x"],"env":["A=' > spec; head -c ${20 * mebibyte} /dev/zero | tr '\\0' x >> spec; printf '"]},"root":{"path":"/"}}' >> spec`,
      );
      const refused = await line('$C run --config spec huge; s=$?; rm spec; $C c ls -q; exit $s');
      assert.notEqual(refused.status, 0);
      assert.match(refused.shown.slice(-1000), /larger than max|too large|exceeds|limit|exhausted/i);
      const taken = await line(
        `head -c ${20 * mebibyte} /dev/zero | $C content ingest --expected-size ${20 * mebibyte} big`,
      );
      assert.equal(taken.status, 0, taken.shown);
      assert.equal(daemon.pid, pid);
      assert.deepEqual(await violationsAtRest(daemon.root, daemon.state), []);
    });
  }
});

describe(`${connections} idle connections`, () => {
  test('do not keep others waiting, and are given back', { timeout: 60_000 }, async () => {
    const { pid } = daemon;
    const child = spawn(process.execPath, ['-e', idler, daemon.address], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    try {
      await once(child.stdout, 'data');
      assert.ok(openFds(pid) >= connections);
      for (const generation of Object.keys(generations) as Generation[]) {
        const started = performance.now();
        const { shown } = await runLine(
          daemon,
          generation,
          '$C version && $C ns create idle && $C ns rm idle',
        );
        assert.match(shown, /2\.3\.4[\s\S]*idle$/);
        assert.ok(performance.now() - started < 3000);
      }
    } finally {
      child.kill('SIGKILL');
    }
    await until(() => openFds(pid) <= 200, 'descriptors to be given back');
    assert.equal(daemon.pid, pid);
  });
});

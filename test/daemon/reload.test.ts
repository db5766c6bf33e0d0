import assert from 'node:assert/strict';
import { once } from 'node:events';
import { statSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { test } from 'node:test';
import { connect } from '../../src/client/connect.ts';
import { isKind } from '../../src/errors/error.ts';
import { startDaemon, type TestDaemon } from '../kit/daemon.ts';
import { bin, ctr2 } from '../kit/paths.ts';
import { output, run } from '../kit/run.ts';
import { until } from '../kit/until.ts';

const rewrite = (daemon: TestDaemon, text: string): void =>
  writeFileSync(join(daemon.dir, 'config.toml'), text);

const berth = (daemon: TestDaemon, ...words: string[]) => run(bin('berth'), ['-H', daemon.address, ...words]);

const transfer = '[plugins."io.containerd.transfer.v1.local"]';

test('berth config reload shows what changes, takes over what can, and says what waits for a restart', async () => {
  await using daemon = await startDaemon();
  rewrite(daemon, `root = "/elsewhere"\n[grpc]\ngid = 12\n${transfer}\nmax_concurrent_downloads = 7\n`);
  const wanted = [
    'plugins."io.containerd.server.v1.grpc".gid: 0 → 12',
    'plugins."io.containerd.transfer.v1.local".max_concurrent_downloads: 3 → 7',
  ];
  const dry = await berth(daemon, 'config', 'reload', '--dry-run');
  assert.deepEqual(dry.stdout.trim().split('\n'), wanted);
  assert.equal(statSync(daemon.address).gid, 0, 'a dry run changes nothing');
  const reloaded = await berth(daemon, 'config', 'reload');
  assert.deepEqual(reloaded.stdout.trim().split('\n'), wanted);
  assert.equal(statSync(daemon.address).gid, 12);
  assert.match((await berth(daemon, 'config')).stdout, /^max_concurrent_downloads = 7$/m);
  assert.equal((await berth(daemon, 'config', 'reload')).stdout, 'nothing changed\n');

  rewrite(daemon, `[debug]\nformat = "json"\n[grpc]\ngid = 12\n${transfer}\nmax_concurrent_downloads = 7\n`);
  for (let times = 0; times < 2; times++)
    assert.equal(
      (await berth(daemon, 'config', 'reload')).stdout,
      'debug.format: "text" → "json" (needs a restart)\n',
      'until the daemon is restarted',
    );
});

test('a file with a mistake changes nothing, and the caller is told where the mistake is', async () => {
  await using daemon = await startDaemon({ config: `${transfer}\nmax_concurrent_downloads = 5\n` });
  using client = connect({ address: daemon.address });
  const before = await client.configuration.get();
  for (const [text, words] of [
    ['[grpc]\nuid = -5', /config\.toml:2: grpc\.uid must be a whole number/],
    [`${transfer}\nmax_concurrent_downloads = 6\nx = `, /config\.toml:3: /],
    ['imports = ["gone.toml"]', /gone\.toml does not exist/],
  ] as const) {
    rewrite(daemon, text);
    await assert.rejects(
      client.configuration.reload(),
      (e: Error) => words.test(e.message) && (isKind(e, 'invalid_argument') || isKind(e, 'not_found')),
    );
    assert.equal(await client.configuration.get(), before);
  }
  const failed = await berth(daemon, 'config', 'reload');
  assert.equal(failed.status, 1);
  assert.match(failed.stderr, /gone\.toml does not exist/);
});

test('when one setting cannot be taken over, those taken over before it are rolled back', async () => {
  await using daemon = await startDaemon();
  const taken = createServer().listen(0, '127.0.0.1').unref();
  await once(taken, 'listening');
  const { port } = taken.address() as AddressInfo;
  try {
    using client = connect({ address: daemon.address });
    const before = await client.configuration.get();
    const text = (address: string) =>
      `oom_score = 77\n[grpc]\ngid = 12\n[metrics]\naddress = "${address}"\n${transfer}\nmax_concurrent_downloads = 7\n`;
    rewrite(daemon, text(`127.0.0.1:${port}`));
    await assert.rejects(client.configuration.reload(), /EADDRINUSE/);
    assert.equal(await client.configuration.get(), before);
    assert.equal(statSync(daemon.address).gid, 0);
    const score = async () => (await output('cat', [`/proc/${daemon.pid}/oom_score_adj`])).trim();
    assert.notEqual(await score(), '77');
    await new Promise((resolve) => taken.close(resolve));
    const { changes } = await client.configuration.reload();
    assert.equal(changes.length, 4);
    assert.equal(await score(), '77');
    assert.equal(statSync(daemon.address).gid, 12);
    const answer = await fetch(`http://127.0.0.1:${port}/v1/metrics`);
    assert.match(await answer.text(), /^process_cpu_seconds_total /m);
    rewrite(daemon, '');
    await client.configuration.reload();
    await assert.rejects(fetch(`http://127.0.0.1:${port}/v1/metrics`), /fetch failed/);
    assert.notEqual(await score(), '77');
  } finally {
    taken.close();
  }
});

test('SIGHUP reloads, too, and says so; many at once are one after the other', async () => {
  await using daemon = await startDaemon();
  rewrite(daemon, 'colour = "red"\n[debug]\nlevel = "trace"\n');
  for (let times = 0; times < 50; times++) process.kill(daemon.pid, 'SIGHUP');
  const told = /WARN +configuration key has no meaning here key=.*config\.toml:1: colour/;
  await until(() => told.test(daemon.log()), 'the warning');
  assert.match(await output(ctr2, ['-a', daemon.address, 'version']), /Server:/);
});

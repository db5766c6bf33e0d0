import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { test } from 'node:test';
import { TestContainerd } from '../kit/containerd.ts';
import { startDaemon } from '../kit/daemon.ts';
import { ctr2 } from '../kit/paths.ts';
import { freePort, TestRegistry } from '../kit/registry.ts';
import { output, run } from '../kit/run.ts';
import { until } from '../kit/until.ts';

const scrape = async (port: number): Promise<string[]> => {
  const answer = await fetch(`http://127.0.0.1:${port}/v1/metrics`);
  assert.match(answer.headers.get('content-type') ?? '', /^text\/plain; version=0\.0\.4/);
  return (await answer.text()).split('\n').filter((line) => line !== '' && !line.startsWith('#'));
};

/** Names of metrics, with the names of their labels. */
const shapes = (lines: readonly string[], pattern: RegExp): Set<string> =>
  new Set(
    lines
      .filter((line) => pattern.test(line))
      .map((line) => {
        const [, name = '', labels = ''] = /^(\w+)(?:\{(.*)\})?/.exec(line) ?? [];
        return `${name}{${[...labels.matchAll(/(\w+)="/g)].map(([, label]) => label).sort()}}`;
      }),
  );

test('containers, calls and collections are counted under the names and labels that containerd 2.3 has for them', async () => {
  const [ours, theirs] = [await freePort(), await freePort()];
  const config = (port: number) => `[metrics]\naddress = "127.0.0.1:${port}"\ngrpc_histogram = true\n`;
  await using registry = await TestRegistry.start();
  const image = await registry.pushBusybox();
  await using daemon = await startDaemon({ config: `version = 3\n${config(ours)}` });
  await using containerd = new TestContainerd('2.3', config(theirs));
  await containerd.start();
  for (const { address } of [daemon, containerd]) {
    const ctr = (...words: string[]) => output(ctr2, ['-a', address, ...words]);
    await ctr('images', 'pull', '--plain-http', image);
    await ctr('run', '-d', image, `metered-${daemon.pid}`, 'sleep', '1000');
    await run(ctr2, ['-a', address, 'containers', 'info', 'nobody']);
    await ctr('images', 'ls');
    // A lease that is deleted at once waits for a collection.
    await ctr('leases', 'create', '--id', 'gone');
    await ctr('leases', 'delete', '--sync', 'gone');
  }
  const [here, there] = [await scrape(ours), await scrape(theirs)];
  for (const pattern of [
    /^container_/,
    /^grpc_server_(started|handled|handling)/,
    /^containerd_(gc|build)/,
  ]) {
    const [mine, model] = [shapes(here, pattern), shapes(there, pattern)];
    assert.ok(mine.size > 1, `${pattern}`);
    assert.deepEqual(
      [...mine].filter((shape) => !model.has(shape)),
      [],
      'names that containerd does not have',
    );
  }
  const line = (start: string) => here.find((one) => one.startsWith(start)) ?? assert.fail(start);
  const used = line('container_memory_usage');
  assert.match(used, new RegExp(`container_id="metered-${daemon.pid}"`));
  assert.match(used, /namespace="default"/);
  assert.ok(Number(used.split(' ').at(-1)) > 0);
  const refused =
    'grpc_server_handled_total{grpc_type="unary",grpc_service="containerd.services.containers.v1.Containers",grpc_method="Get",grpc_code="NotFound"}';
  assert.equal(line(refused), `${refused} 1`);
  assert.ok(here.some((one) => /^grpc_server_handling_seconds_bucket\{le=.*grpc_method="List"/.test(one)));

  await output(ctr2, ['-a', containerd.address, 'tasks', 'kill', '-s', 'KILL', `metered-${daemon.pid}`]);
  await output(ctr2, ['-a', daemon.address, 'tasks', 'kill', '-s', 'KILL', `metered-${daemon.pid}`]);
  await until(
    async () => !(await scrape(ours)).some((one) => one.startsWith('container_')),
    'a container that has ended to be told no more',
  );
});

test('1.6 CVE class: the metrics socket survives raw nonsense, idle connections and unknown paths', async () => {
  const port = await freePort();
  await using daemon = await startDaemon();
  writeFileSync(join(daemon.dir, 'config.toml'), `[metrics]\naddress = "127.0.0.1:${port}"\n`);
  process.kill(daemon.pid, 'SIGHUP');
  await until(() => /serving metrics/.test(daemon.log()), 'metrics to be served');
  const idle = Array.from({ length: 80 }, () => connect(port, '127.0.0.1').on('error', () => {}));
  for (const raw of [
    '\0\0\0',
    'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n',
    `GET /${'x'.repeat(70_000)} HTTP/1.1\r\n\r\n`,
  ]) {
    const socket = connect(port, '127.0.0.1').on('error', () => {});
    socket.end(raw);
    socket.resume();
    await new Promise((resolve) => socket.once('close', resolve));
  }
  for (const socket of idle) socket.destroy();
  const status = async () => {
    const { status } = await fetch(`http://127.0.0.1:${port}/v1/metricsx`).catch(() => ({ status: 0 }));
    return status;
  };
  await until(async () => (await status()) === 404, 'an answer after the idle connections');
  assert.equal((await fetch(`http://127.0.0.1:${port}/`)).status, 404);
  assert.ok((await scrape(port)).length > 10);
});

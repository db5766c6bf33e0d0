import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { connect as connectHttp2 } from 'node:http2';
import { connect as connectUnix } from 'node:net';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { startDaemon, type TestDaemon } from '../kit/daemon.ts';
import { OtlpCollector } from '../kit/otlp.ts';
import { ctr2 } from '../kit/paths.ts';
import { TestRegistry } from '../kit/registry.ts';
import { output, run } from '../kit/run.ts';
import { until } from '../kit/until.ts';

let collector: OtlpCollector;
let daemon: TestDaemon;

before(async () => {
  collector = await OtlpCollector.start();
  daemon = await startDaemon({
    config: '[debug]\nlog_trace_id = true\n',
    env: {
      OTEL_EXPORTER_OTLP_ENDPOINT: collector.url,
      OTEL_BSP_SCHEDULE_DELAY: '50',
      OTEL_SERVICE_NAME: 'node-7',
      OTEL_RESOURCE_ATTRIBUTES: 'rack=12',
    },
  });
});
after(async () => {
  await daemon[Symbol.asyncDispose]();
  await collector[Symbol.asyncDispose]();
});

const ctr = (...words: string[]) => output(ctr2, ['-a', daemon.address, ...words]);

test('a pull is a trace: resolve, each fetch and unpack are spans below the call, create and start below theirs', async () => {
  await using registry = await TestRegistry.start();
  const image = await registry.pushBusybox();
  await ctr('images', 'pull', '--plain-http', image);
  const call = await collector.find('containerd.services.transfer.v1.Transfer/Transfer');
  assert.deepEqual([call.resource['service.name'], call.resource.rack], ['node-7', '12']);
  assert.deepEqual([call.parentId, call.attributes['rpc.system']], ['', 'grpc']);
  for (const name of ['resolve', 'fetch', 'unpack']) {
    const span = await collector.find(name, ({ traceId }) => traceId === call.traceId);
    assert.equal(span.parentId, call.spanId, name);
    assert.ok(span.startNanos >= call.startNanos && span.endNanos <= call.endNanos, name);
    assert.ok(span.endNanos > span.startNanos, name);
  }
  const fetch = await collector.find('fetch');
  assert.match(fetch.attributes.digest ?? '', /^sha256:/);
  assert.equal((await collector.find('resolve')).attributes.reference, image);

  await ctr('run', '--rm', image, 'traced', 'true');
  for (const [verb, method] of [
    ['create', 'Create'],
    ['start', 'Start'],
  ] as const) {
    const task = await collector.find(verb, ({ attributes }) => attributes.container === 'traced');
    const outer = await collector.find(`containerd.services.tasks.v1.Tasks/${method}`);
    assert.equal(task.parentId, outer.spanId);
  }
  assert.deepEqual([...collector.paths], ['/v1/traces']);
});

test('a push is a trace with each upload, an import one with what is read and unpacked', async () => {
  await using registry = await TestRegistry.start();
  const image = await registry.pushBusybox();
  const digestOf = async (name: string) =>
    /sha256:[0-9a-f]{64}/.exec(await ctr('images', 'ls', `name==${name}`))?.[0] ?? '';
  await ctr('images', 'pull', '--plain-http', image);
  const target = await digestOf(image);
  const pushed = `${registry.host}/pushed:1`;
  await ctr('images', 'push', '--plain-http', pushed, image);
  const last = await collector.find('upload', ({ attributes }) => attributes.digest === target);
  const uploads = () =>
    collector.spans.filter(({ name, traceId }) => name === 'upload' && traceId === last.traceId);
  await until(() => uploads().length >= 3, 'three uploads');
  assert.equal(new Set(uploads().map(({ attributes }) => attributes.digest)).size, 3);
  const push = await collector.find(
    'containerd.services.transfer.v1.Transfer/Transfer',
    ({ spanId }) => spanId === last.parentId,
  );
  assert.ok(uploads().every(({ parentId }) => parentId === push.spanId));

  const archive = join(daemon.dir, 'image.tar');
  await ctr('images', 'export', archive, image);
  await output(ctr2, ['-a', daemon.address, '-n', 'other', 'images', 'import', archive]);
  const read = await collector.find('read');
  const call = await collector.find(
    'containerd.services.transfer.v1.Transfer/Transfer',
    ({ spanId }) => spanId === read.parentId,
  );
  const unpack = await collector.find('unpack', ({ parentId }) => parentId === call.spanId);
  assert.deepEqual([unpack.attributes.digest, unpack.attributes.snapshotter], [target, 'overlayfs']);
});

test('OTLP goes over gRPC where the environment says so, what waits at the end, too', async () => {
  await using grpc = await OtlpCollector.startGrpc();
  await using other = await startDaemon({
    env: {
      OTEL_EXPORTER_OTLP_ENDPOINT: grpc.url,
      OTEL_EXPORTER_OTLP_PROTOCOL: 'grpc',
      OTEL_BSP_SCHEDULE_DELAY: '50',
      OTEL_SERVICE_NAME: 'node-8',
    },
  });
  await output(ctr2, ['-a', other.address, 'version']);
  const span = await grpc.find('containerd.services.version.v1.Version/Version');
  assert.equal(span.resource['service.name'], 'node-8');
  await output(ctr2, ['-a', other.address, 'namespaces', 'ls']);
  assert.equal(await other.stop(), 0);
  await grpc.find('containerd.services.namespaces.v1.Namespaces/List');
  assert.deepEqual([...grpc.paths], ['/opentelemetry.proto.collector.trace.v1.TraceService/Export']);
});

test('a call that fails is a span that says so, and its log line names the trace', async () => {
  await run(ctr2, ['-a', daemon.address, 'containers', 'info', 'nobody']);
  const span = await collector.find(
    'containerd.services.containers.v1.Containers/Get',
    (s) => s.status === 2,
  );
  assert.equal(span.attributes['error.type'], 'not_found');
  await until(() => daemon.log().includes(span.traceId), 'the trace id in the log');
  assert.match(daemon.log(), new RegExp(`call failed.*trace_id=${span.traceId}`));
});

const traceId = '0af7651916cd43dd8448eb211c80319c';

/** Version over plain HTTP/2 with a header of the caller's. */
async function versionWith(traceparent: string): Promise<void> {
  const session = connectHttp2('http://localhost', { createConnection: () => connectUnix(daemon.address) });
  const path = '/containerd.services.version.v1.Version/Version';
  const call = session.request({
    ':method': 'POST',
    ':path': path,
    'content-type': 'application/grpc',
    traceparent,
  });
  call.end(Buffer.alloc(5)).resume();
  await new Promise((resolve, reject) => call.once('end', resolve).once('error', reject));
  session.close();
}

test("a caller's trace is gone on with; one that is malformed, or not sampled, is not", async () => {
  await versionWith(`00-${traceId}-b7ad6b7169203331-01`);
  const span = await collector.find(
    'containerd.services.version.v1.Version/Version',
    (s) => s.traceId === traceId,
  );
  assert.equal(span.parentId, 'b7ad6b7169203331');
  const known = () => collector.spans.filter(({ name }) => name.endsWith('Version/Version')).length;
  for (const bad of [
    '',
    'x',
    `00-${'0'.repeat(32)}-b7ad6b7169203331-01`,
    `ff-${traceId}-b7ad6b7169203331-01`,
  ]) {
    const before = known();
    await versionWith(bad);
    await until(() => known() !== before, 'its span');
    assert.equal(collector.spans.findLast(({ name }) => name.endsWith('Version/Version'))?.parentId, '', bad);
  }
  const before = known();
  await versionWith(`00-${'1'.repeat(32)}-b7ad6b7169203331-00`);
  await versionWith(`00-${'2'.repeat(32)}-b7ad6b7169203331-01`);
  await collector.find('containerd.services.version.v1.Version/Version', (s) => s.traceId === '2'.repeat(32));
  assert.equal(known(), before + 1, 'the caller had not sampled the other');
});

test('what waits is sent when the daemon ends, and a collector that is gone stops nothing', async () => {
  await using gone = await startDaemon({
    env: {
      OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: `${collector.url}/own/path`,
      OTEL_BSP_SCHEDULE_DELAY: '3600000',
    },
  });
  await output(ctr2, ['-a', gone.address, 'namespaces', 'ls']);
  assert.equal(await gone.stop(), 0);
  assert.ok(collector.paths.has('/own/path'));
  await using silent = await startDaemon({
    env: { OTEL_EXPORTER_OTLP_ENDPOINT: 'http://127.0.0.1:1', OTEL_BSP_SCHEDULE_DELAY: '10' },
  });
  for (let i = 0; i < 3; i++) await output(ctr2, ['-a', silent.address, 'version']);
  assert.equal(await silent.stop(), 0);
});

for (const [what, env, words] of [
  ['a protocol', { OTEL_EXPORTER_OTLP_PROTOCOL: 'http/json' }, /traces are not sent.*protocol.*http\/json/],
  ['an exporter', { OTEL_TRACES_EXPORTER: 'jaeger' }, /traces are not sent.*jaeger/],
  ['a sampler', { OTEL_TRACES_SAMPLER: 'dice' }, /traces are not sent.*dice/],
  ['a number', { OTEL_BSP_MAX_QUEUE_SIZE: '-1' }, /traces are not sent.*OTEL_BSP_MAX_QUEUE_SIZE/],
] as const) {
  test(`${what} that is not known is told, and the daemon works without traces`, async () => {
    await using other = await startDaemon({ env: { OTEL_EXPORTER_OTLP_ENDPOINT: collector.url, ...env } });
    assert.match(await output(ctr2, ['-a', other.address, 'version']), /Server:/);
    await until(
      () => words.test(other.log()),
      () => `${words} in ${other.log()}`,
    );
  });
}

test('nothing of OpenTelemetry is loaded where no endpoint is set, or the SDK is disabled', async () => {
  for (const env of [{}, { OTEL_EXPORTER_OTLP_ENDPOINT: collector.url, OTEL_SDK_DISABLED: 'true' }]) {
    const log = join(daemon.dir, 'loaded');
    const hook = join(daemon.dir, 'hook.mjs');
    writeFileSync(
      hook,
      `import { registerHooks } from 'node:module';\nimport { appendFileSync } from 'node:fs';\n` +
        `registerHooks({ load(url, context, next) { appendFileSync(${JSON.stringify(log)}, url + '\\n'); return next(url, context); } });\n`,
    );
    writeFileSync(log, '');
    await using other = await startDaemon({ env: { ...env, NODE_OPTIONS: `--import=${hook}` } });
    await output(ctr2, ['-a', other.address, 'version']);
    const loaded = readFileSync(log, 'utf8');
    assert.match(loaded, /daemon\/tracing\/open-tracing/);
    assert.doesNotMatch(loaded, /@opentelemetry|prom-client|pprof-format/);
  }
});

import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { create, toBinary } from '@bufbuild/protobuf';
import { AnySchema } from '@bufbuild/protobuf/wkt';
import { isKind } from '../errors/error.ts';
import { TaskStartSchema } from '../gen/containerd/events/events_pb.ts';
import { OptionsSchema } from '../gen/containerd/runc/v1/runc_pb.ts';
import { adaptSpec } from './adapt-spec.ts';
import { readFlat, readNumber } from './cgroup-files.ts';
import { EventLog } from './event-log.ts';
import { checkIdentifier } from './identifier.ts';
import { LineBuffer } from './line-buffer.ts';
import { formatters, maxLineBytes, nowNano } from './log-lines.ts';
import { metricsV2 } from './metrics-v2.ts';
import { lastLoggedError, readPidFile } from './oci-runtime.ts';
import { isNewer } from './oci-version.ts';
import { runCommand } from './run-command.ts';
import { parseRuntimeOptions } from './runtime-options.ts';
import { parseSize, schemeOf, uriPath } from './stdio-uri.ts';

const dir = mkdtempSync(join(tmpdir(), 'shim-'));
after(() => rmSync(dir, { recursive: true }));
const signal = new AbortController().signal;
const start = (log: EventLog, id: string) =>
  log.publish('ns', '/tasks/start', TaskStartSchema, { containerId: id, pid: 1 });

test('events are numbered without gaps, kept until acknowledged, and told once they are asked for', async () => {
  const log = new EventLog();
  for (const id of ['a', 'b', 'c']) start(log, id);
  const first = await log.after(0, 0, signal);
  assert.deepEqual(
    first.map((event) => event.number),
    [1, 2, 3],
  );
  assert.equal((await log.after(0, 0, signal)).length, 3);
  assert.deepEqual(
    (await log.after(2, 0, signal)).map((event) => event.number),
    [3],
  );
  assert.deepEqual(await log.after(3, 1, signal), []);
  const waiting = log.after(3, 10_000, signal);
  start(log, 'd');
  assert.deepEqual(
    (await waiting).map((event) => event.number),
    [4],
  );
});

test('a question for events ends when its asker is gone', async () => {
  const gone = new AbortController();
  const waiting = new EventLog().after(0, 60_000, gone.signal);
  gone.abort();
  assert.deepEqual(await waiting, []);
});

/** As the log worker does it: what is not consumed comes again with the next chunk. */
function formatted(format: 'cri' | 'json', chunks: Buffer[]): string {
  let pending: Buffer = Buffer.alloc(0);
  const out = new LineBuffer();
  for (const chunk of [...chunks, undefined]) {
    pending = Buffer.concat([pending, chunk ?? Buffer.alloc(0)]);
    const consumed = formatters[format](pending, 'stdout', 'T', chunk === undefined, out);
    pending = pending.subarray(consumed);
  }
  return out.bytes.toString(format === 'cri' ? 'latin1' : 'utf8');
}

test('lines of a stream come out as Docker’s JSON, whole characters only', () => {
  const line = (log: string) => `{"log":${JSON.stringify(log)},"stream":"stdout","time":"T"}\n`;
  assert.equal(
    formatted('json', [Buffer.from('a "b"\nü'), Buffer.from('x')]),
    line('a "b"\n') + line('üx\n'),
  );
  const long = `${'x'.repeat(maxLineBytes - 1)}ü`;
  const text = formatted('json', [Buffer.from(long), Buffer.from('\n')]);
  assert.equal(text, line('x'.repeat(maxLineBytes - 1)) + line('ü\n'));
});

test('sizes have units, and nonsense is refused', () => {
  assert.deepEqual(['', '7', '2k', '3M', '1g'].map(parseSize), [0, 7, 2048, 3 * 1024 ** 2, 1024 ** 3]);
  for (const bad of ['x', '-1', '1.5m', '1t', '9'.repeat(20)]) assert.throws(() => parseSize(bad), bad);
});

test('lines of a stream come out in CRI format, cut at 16 KiB, bytes unchanged', () => {
  const rows: [string, Buffer[], string][] = [
    ['one line', [Buffer.from('a\n')], 'T stdout F a\n'],
    ['a line in pieces', [Buffer.from('a'), Buffer.from('b\nc\n')], 'T stdout F ab\nT stdout F c\n'],
    ['an empty line', [Buffer.from('\n')], 'T stdout F \n'],
    ['an end without newline', [Buffer.from('x')], 'T stdout F x\n'],
    ['nothing', [], ''],
    ['no UTF-8', [Buffer.from([0xff, 0x00, 0xfe, 0x0a])], 'T stdout F \xff\x00\xfe\n'],
    [
      'a long line',
      [Buffer.alloc(maxLineBytes + 1, 'x'), Buffer.from('\n')],
      `T stdout P ${'x'.repeat(maxLineBytes)}\nT stdout F x\n`,
    ],
    [
      'exactly 16 KiB',
      [Buffer.alloc(maxLineBytes, 'x'), Buffer.from('\ny\n')],
      `T stdout P ${'x'.repeat(maxLineBytes)}\nT stdout F \nT stdout F y\n`,
    ],
  ];
  for (const [name, chunks, expected] of rows) {
    assert.equal(formatted('cri', chunks), expected, name);
  }
  assert.match(nowNano(), /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z$/);
});

test('identifiers that could leave a directory or be an option are refused (CVE-2026-50163)', () => {
  for (const id of ['', '..', '.', '-a', 'a/b', 'a\0', 'a b', 'a..b', 'ä', 'a'.repeat(77), 'a\n'])
    assert.throws(
      () => checkIdentifier('id', id),
      (e) => isKind(e, 'invalid_argument'),
      JSON.stringify(id),
    );
  for (const id of ['a', 'A-b_c.d', '0'.repeat(64)]) assert.equal(checkIdentifier('id', id), id);
});

test('a newer specification version is lowered for crun only, and nothing else changes', () => {
  for (const [a, b, newer] of [
    ['1.2.0', '1.0.0', true],
    ['1.0.2', '1.0.0', false],
    ['2.0.0', '1.9.0', true],
    ['1.0.0', '1.2.0', false],
  ] as const)
    assert.equal(isNewer(a, b), newer, `${a} ${b}`);
  const path = join(dir, 'config.json');
  const read = () => JSON.parse(readFileSync(path, 'utf8'));
  writeFileSync(path, JSON.stringify({ ociVersion: '1.2.0', hostname: 'h' }));
  adaptSpec(dir, { file: 'runc', specVersion: '1.0.2', isCrun: false, isRunc: true, knowsCriu: true });
  assert.equal(read().ociVersion, '1.2.0');
  adaptSpec(dir, { file: 'crun', specVersion: '1.0.0', isCrun: true, isRunc: false, knowsCriu: false });
  const annotations = { 'org.criu.config': join(dir, 'criu.conf') };
  assert.deepEqual(read(), { ociVersion: '1.0.0', hostname: 'h', annotations });
});

test('the last error in a runtime’s log is found, garbage is passed over', () => {
  const path = join(dir, 'log.json');
  writeFileSync(
    path,
    '{"level":"error","msg":"first"}\n{"level":"warning","msg":"w"}\n{"level":"error","msg":" second "}\nnot json\n',
  );
  assert.equal(lastLoggedError(path), 'second');
  assert.equal(lastLoggedError(join(dir, 'none')), '');
  writeFileSync(path, '17');
  assert.throws(() => readPidFile(join(dir, 'none')), /holds no pid|none/);
  assert.equal(readPidFile(path), 17);
  for (const bad of ['', 'x', '1', '-5', '1.5']) {
    writeFileSync(path, bad);
    assert.throws(() => readPidFile(path), /holds no pid/, bad);
  }
});

test('runtime options are read, and another type is refused', () => {
  const value = toBinary(OptionsSchema, create(OptionsSchema, { binaryName: 'crun', systemdCgroup: true }));
  for (const typeUrl of ['containerd.runc.v1.Options', 'type.googleapis.com/containerd.runc.v1.Options']) {
    const options = parseRuntimeOptions(create(AnySchema, { typeUrl, value }));
    assert.deepEqual([options.binaryName, options.systemdCgroup, options.root], ['crun', true, '']);
  }
  assert.equal(parseRuntimeOptions(undefined).binaryName, '');
  const other = create(AnySchema, { typeUrl: 'x.Options', value });
  assert.throws(
    () => parseRuntimeOptions(other),
    (e) => isKind(e, 'invalid_argument'),
  );
  const broken = create(AnySchema, { typeUrl: 'containerd.runc.v1.Options', value: Uint8Array.of(0xff) });
  assert.throws(
    () => parseRuntimeOptions(broken),
    (e) => isKind(e, 'invalid_argument'),
  );
});

test('stdio URIs name absolute paths or are refused', () => {
  assert.equal(schemeOf('/a/b'), '');
  assert.equal(schemeOf('cri:///a'), 'cri');
  assert.equal(uriPath('file:///a%20b/c?x=1'), '/a b/c');
  for (const bad of ['file://', 'file://host/x', 'cri://relative/x', 'cri:///%'])
    assert.throws(
      () => uriPath(bad),
      (e) => isKind(e, 'invalid_argument'),
      bad,
    );
});

test('a command is killed at its deadline, its output is bounded, a missing one is not_found', async () => {
  const late = await runCommand({ file: 'sleep', args: ['10'], timeoutMs: 50 });
  assert.deepEqual([late.timedOut, late.code], [true, 137]);
  const loud = await runCommand({ file: 'head', args: ['-c', '3000000', '/dev/zero'], timeoutMs: 5000 });
  assert.ok(loud.stdout.length <= 1024 * 1024);
  await assert.rejects(
    runCommand({ file: 'no-such', args: [], timeoutMs: 5 }),
    /executable file not found in \$PATH/,
  );
  await assert.rejects(runCommand({ file: '/no/such', args: [], timeoutMs: 5 }), (e) =>
    isKind(e, 'not_found'),
  );
});

test('a command gets no environment but the allowed names (CVE-2026-57231)', async () => {
  process.env.CANARY = 'secret';
  const { stdout } = await runCommand({ file: 'env', args: [], timeoutMs: 5000 });
  delete process.env.CANARY;
  assert.doesNotMatch(stdout, /CANARY/);
  assert.match(stdout, /^PATH=/m);
});

test('cgroup v2 files become metrics; what is missing counts as zero, max as no limit', async () => {
  const cgroup = join(dir, 'cgroup');
  mkdirSync(cgroup);
  const files: Record<string, string> = {
    'cpu.stat': 'usage_usec 12\nuser_usec 7\nsystem_usec 5\n',
    'memory.stat': 'anon 4096\nfile_mapped 8\npgfault 3\n',
    'memory.current': '8192\n',
    'memory.max': 'max\n',
    'pids.current': '4\n',
    'pids.max': 'max\n',
    'io.stat': '8:16 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=0 dios=0\n',
  };
  for (const [name, text] of Object.entries(files)) writeFileSync(join(cgroup, name), text);
  const { MetricsSchema } = await import('../gen/io/containerd/cgroups/v2/cgroups_pb.ts');
  const { fromBinary } = await import('@bufbuild/protobuf');
  const { typeUrl, value } = metricsV2(cgroup);
  assert.equal(typeUrl, 'io.containerd.cgroups.v2.Metrics');
  const metrics = fromBinary(MetricsSchema, value);
  assert.equal(metrics.cpu?.usageUsec, 12n);
  assert.deepEqual(
    [metrics.memory?.anon, metrics.memory?.fileMapped, metrics.memory?.usage],
    [4096n, 8n, 8192n],
  );
  assert.equal(metrics.memory?.usageLimit, 2n ** 64n - 1n);
  assert.deepEqual([metrics.pids?.current, metrics.pids?.limit], [4n, 0n]);
  assert.deepEqual(
    metrics.io?.usage.map(({ major, minor, rbytes, wios }) => [major, minor, rbytes, wios]),
    [[8n, 16n, 1n, 4n]],
  );
  assert.equal(readNumber(cgroup, 'none'), 0n);
  assert.equal(readFlat(cgroup, 'none').size, 0);
});

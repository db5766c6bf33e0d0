import assert from 'node:assert/strict';
import { once } from 'node:events';
import { existsSync, statSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { after, before, test } from 'node:test';
import { gunzipSync } from 'node:zlib';
import { Profile } from 'pprof-format';
import { startDaemon, type TestDaemon } from '../kit/daemon.ts';
import { ctr1, ctr2 } from '../kit/paths.ts';
import { output, run } from '../kit/run.ts';
import { until } from '../kit/until.ts';

let daemon: TestDaemon;
let socket: string;

before(async () => {
  daemon = await startDaemon();
  socket = join(daemon.dir, 'debug.sock');
  writeFileSync(join(daemon.dir, 'config.toml'), `[debug]\naddress = "${socket}"\ngid = 12\n`);
  process.kill(daemon.pid, 'SIGHUP');
  await until(() => existsSync(socket), 'the debug socket');
});
after(() => daemon[Symbol.asyncDispose]());

async function ask(path: string, method = 'GET'): Promise<{ status: number | undefined; body: Buffer }> {
  const { promise, resolve, reject } = Promise.withResolvers<Awaited<ReturnType<typeof ask>>>();
  request({ socketPath: socket, path, method }, (response) => {
    buffer(response).then((body) => resolve({ status: response.statusCode, body }), reject);
  })
    .on('error', reject)
    .end();
  return promise;
}

const profileOf = (body: Buffer): Profile => Profile.decode(gunzipSync(body));
const typesOf = ({ sampleType, stringTable }: Profile): (string | undefined)[] =>
  sampleType.map(({ type }) => stringTable.strings[Number(type)]);

test('a reload opens the debug socket, for its owner and group only', () => {
  const { mode, gid } = statSync(socket);
  assert.deepEqual([mode & 0o777, gid], [0o660, 12]);
});

test('profiles of processor time are what go tool pprof reads, with functions of the daemon in them', async () => {
  const load = setInterval(() => void run(ctr2, ['-a', daemon.address, 'plugins', 'ls']), 30);
  const { status, body } = await ask('/debug/pprof/profile?seconds=1.5').finally(() => clearInterval(load));
  assert.equal(status, 200);
  const profile = profileOf(body);
  assert.deepEqual(typesOf(profile), ['samples', 'cpu']);
  const total = profile.sample.reduce((sum, { value }) => sum + Number(value[1]), 0);
  assert.ok(total > 0 && total < 20e9, `${total} ns`);
  assert.ok(profile.stringTable.strings.some((name) => name.includes('/src/') || name.includes('/dist/')));
  const ids = new Set(profile.location.map(({ id }) => Number(id)));
  assert.ok(profile.sample.every(({ locationId }) => locationId.every((id) => ids.has(Number(id)))));
});

test('ctr pprof of both generations gets goroutines, heap, profile, block and threadcreate', async () => {
  for (const ctr of [ctr1, ctr2]) {
    const pprof = (...words: string[]) => output(ctr, ['pprof', '-d', socket, ...words]);
    const events = run(ctr, ['-a', daemon.address, 'events'], { timeoutMs: 3000 });
    let dump = '';
    for (let i = 0; i < 100 && !dump.includes('Subscribe'); i++) dump = await pprof('goroutines');
    assert.match(
      dump,
      /calls under way[\s\S]*\/containerd\.services\.events\.v1\.Events\/Subscribe namespace/,
    );
    assert.match(dump, /threads\n(?: {2}.*\n)*? {2}\d+ (?:node|MainThread)/);
    await events;
    assert.match(await pprof('block'), /^p99 \d+\.\d\d$/m);
    assert.match(await pprof('threadcreate'), /node|libuv/);
    for (const what of [['heap'], ['profile', '-s', '1s']]) {
      const file = join(daemon.dir, 'profile');
      await output('sh', ['-c', `exec "$@" >${file}`, 'sh', ctr, 'pprof', '-d', socket, ...what]);
      const types = typesOf(profileOf(await buffer((await import('node:fs')).createReadStream(file))));
      assert.deepEqual(types, what[0] === 'heap' ? ['inuse_space'] : ['samples', 'cpu']);
    }
    const trace = await run(ctr, ['pprof', '-d', socket, 'trace', '-s', '1s']);
    assert.match(trace.stdout + trace.stderr, /not had from Node|404/);
  }
});

test('V8 has its own forms: a profile as JSON, a heap snapshot', async () => {
  const { body } = await ask('/debug/pprof/profile?seconds=0.2&format=json');
  assert.ok(Array.isArray((JSON.parse(body.toString()) as { nodes: unknown }).nodes));
  const snapshot = await ask('/debug/heapsnapshot');
  assert.ok('snapshot' in (JSON.parse(snapshot.body.toString()) as object));
});

test('the log level is changed and told', async () => {
  assert.equal((await ask('/debug/level')).body.toString(), 'debug\n');
  assert.equal((await ask('/debug/level?level=warning', 'PUT')).body.toString(), 'warn\n');
  assert.equal((await ask('/debug/level')).body.toString(), 'warn\n');
  assert.equal((await ask('/debug/level?level=debug', 'PUT')).status, 200);
});

test('bad requests get an answer and hurt nobody', async () => {
  const table: readonly (readonly [string, string, number])[] = [
    ['GET', '/', 404],
    ['GET', '/debug/pprof/constructor', 404],
    ['GET', '/__proto__', 404],
    ['GET', '/debug/pprof/profile?seconds=-1', 400],
    ['GET', '/debug/pprof/profile?seconds=1e9', 400],
    ['GET', '/debug/pprof/heap?seconds=', 400],
    ['GET', '//', 400],
    ['POST', '/debug/pprof/profile', 405],
    ['PUT', '/debug/level?level=loud', 400],
    ['PUT', '/debug/level', 400],
  ];
  for (const [method, path, status] of table)
    assert.equal((await ask(path, method)).status, status, `${method} ${path}`);
  const two = await Promise.all([
    ask('/debug/pprof/profile?seconds=1'),
    ask('/debug/pprof/profile?seconds=1'),
  ]);
  assert.deepEqual(two.map(({ status }) => status).sort(), [200, 503], 'one at a time');
  // A caller who leaves ends its profile.
  const left = request({ socketPath: socket, path: '/debug/pprof/profile?seconds=200' }).on(
    'error',
    () => {},
  );
  left.end();
  await once(left, 'finish');
  while ((await ask('/debug/pprof/profile?seconds=0.01')).status !== 503);
  left.destroy();
  let again = 503;
  for (let i = 0; i < 100 && again === 503; i++)
    again = (await ask('/debug/pprof/profile?seconds=0.1')).status ?? 0;
  assert.equal(again, 200);
});

test('SIGUSR1 writes what the daemon is doing into its log, and opens no debugger', async () => {
  process.kill(daemon.pid, 'SIGUSR1');
  await until(() => /what the daemon is doing/.test(daemon.log()), 'the dump in the log');
  assert.match(daemon.log(), /what the daemon is doing dump=.*calls under way/);
  assert.doesNotMatch(daemon.log(), /Debugger listening/);
});

test('without an address there is no debug socket', async () => {
  writeFileSync(join(daemon.dir, 'config.toml'), '');
  process.kill(daemon.pid, 'SIGHUP');
  await until(() => !existsSync(socket), 'the debug socket to go');
});

import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { fromBinary } from '@bufbuild/protobuf';
import { type BerthClient, connect } from '../../src/client/index.ts';
import { SandboxExitSchema } from '../../src/gen/containerd/events/events_pb.ts';
import { Containers } from '../../src/gen/containerd/services/containers/v1/containers_pb.ts';
import { Namespaces } from '../../src/gen/containerd/services/namespaces/v1/namespaces_pb.ts';
import { Controller, Store } from '../../src/gen/containerd/services/sandbox/v1/sandbox_pb.ts';
import { Tasks } from '../../src/gen/containerd/services/tasks/v1/tasks_pb.ts';
import { type Channel, createClient, openChannel, type ServiceClient } from '../../src/rpc/grpc-client.ts';
import { commandOf, processesOf, startDaemon, type TestDaemon } from '../kit/daemon.ts';
import { removeCgroups } from '../kit/leftovers.ts';
import { ctr2, shim2 } from '../kit/paths.ts';
import { output } from '../kit/run.ts';
import { until } from '../kit/until.ts';
import { failureOf } from '../mounts/stage.ts';
import { makeRootfs } from '../runtime/harness.ts';

const namespace = `sbx${process.pid}`;
let daemon: TestDaemon;
let channel: Channel;
let store: ServiceClient<typeof Store>;
let controller: ServiceClient<typeof Controller>;
let client: BerthClient;
let shim: string;
const topics: string[] = [];

function open(): void {
  channel = openChannel(daemon.address, { namespace });
  store = createClient(Store, channel);
  controller = createClient(Controller, channel);
  client = connect({ address: daemon.address, namespace });
  void follow(client);
}

async function follow(from: BerthClient): Promise<void> {
  try {
    for await (const { topic, event } of from.events.subscribe({ filters: ['topic~=/sandboxes/'] })) {
      const { sandboxId, exitStatus } = fromBinary(SandboxExitSchema, event.value);
      topics.push(`${topic} ${sandboxId}${topic === '/sandboxes/exit' ? ` ${exitStatus}` : ''}`);
    }
  } catch {
    // The daemon was killed.
  }
}

async function restart(): Promise<void> {
  close();
  await daemon.restart('SIGKILL');
  open();
  await until(async () => {
    await client.events.publish('/test/ready', { typeUrl: 'x', value: new Uint8Array() });
    return true;
  }, 'the daemon');
}

function close(): void {
  client.close();
  channel[Symbol.dispose]();
}

before(async () => {
  daemon = await startDaemon();
  makeRootfs(join(daemon.dir, 'r'));
  mkdirSync(join(daemon.dir, 'bin'));
  shim = podShim('ttrpc');
  open();
});
after(async () => {
  close();
  await daemon[Symbol.asyncDispose]();
  removeCgroups([namespace]);
});

/** The program of a sandbox shim that speaks the protocol to the daemon. */
function podShim(protocol: 'ttrpc' | 'grpc'): string {
  const file = join(daemon.dir, `bin/containerd-shim-${protocol}pod-v1`);
  const own = join(import.meta.dirname, 'pod-shim.ts');
  const environment = `POD_SHIM_SOCKETS=${daemon.dir} POD_SHIM_PROTOCOL=${protocol}`;
  const words = `${environment} exec ${process.execPath} ${own} ${shim2} "$@"`;
  writeFileSync(file, `#!/bin/sh\n${words}\n`, { mode: 0o755 });
  return file;
}

const sandboxer = 'shim';
const specType = 'types.containerd.io/opencontainers/runtime-spec/1/Spec';
const sandboxOf = (id: string, runtime = shim) => ({
  sandboxId: id,
  sandboxer,
  runtime: { name: runtime },
  spec: { typeUrl: specType, value: Buffer.from('{"ociVersion":"1.0.2"}') },
});
const bundleOf = (id: string): string =>
  join(daemon.state, 'io.containerd.sandbox.controller.v1.shim', namespace, id);
const calls = (id: string): string[] =>
  readFileSync(join(bundleOf(id), 'calls'), 'utf8')
    .trim()
    .split('\n');
const shims = (): number[] =>
  processesOf(daemon.dir).filter((pid) => /pod-shim|shim-runc-v2/.test(commandOf(pid)));
const startSandbox = async (id: string) => {
  await controller.create({
    sandboxId: id,
    sandboxer,
    sandbox: sandboxOf(id),
    netnsPath: '/proc/self/ns/net',
  });
  return controller.start({ sandboxId: id, sandboxer });
};

describe('A-10: sandbox store', () => {
  test('a record is made, read, changed by field paths, listed by filters and deleted', async () => {
    const extension = { typeUrl: 't', value: Buffer.from([4]) };
    const wanted = {
      ...sandboxOf('a', 'io.containerd.runc.v2'),
      labels: { l: 'v', gone: '' },
      extensions: { k: extension },
    };
    const { sandbox: made } = await store.create({ sandbox: wanted });
    assert.deepEqual({ ...made?.labels }, { l: 'v' });
    assert.deepEqual(
      [made?.sandboxer, made?.runtime?.name, made?.spec?.typeUrl],
      ['shim', 'io.containerd.runc.v2', specType],
    );
    assert.deepEqual((await store.get({ sandboxId: 'a' })).sandbox, made);
    const change = (fields: string[], sandbox: object) =>
      store.update({
        sandbox: { sandboxId: 'a', runtime: { name: 'io.containerd.runc.v2' }, ...sandbox },
        fields,
      });
    const labelled = await change(['labels.x'], { labels: { x: '1', y: '2' } });
    assert.deepEqual({ ...labelled.sandbox?.labels }, { l: 'v', x: '1' });
    const unlabelled = await change(['labels.x', 'extensions.k'], {});
    assert.deepEqual({ ...unlabelled.sandbox?.labels, ...unlabelled.sandbox?.extensions }, { l: 'v' });
    await change(['runtime', 'spec'], { runtime: { name: 'other' } });
    const { sandbox } = await store.get({ sandboxId: 'a' });
    assert.deepEqual([sandbox?.runtime?.name, sandbox?.spec], ['other', undefined]);
    const ids = async (...filters: string[]) =>
      (await store.list({ filters })).list.map(({ sandboxId }) => sandboxId);
    assert.deepEqual(
      [await ids(), await ids('id==a'), await ids('labels.l==v'), await ids('sandboxer==shim')],
      [['a'], ['a'], ['a'], []],
    );
    await restart();
    assert.deepEqual(await ids(), ['a']);
    await store.delete({ sandboxId: 'a' });
    assert.deepEqual(await ids(), []);
  });

  test('records go with their namespace', async () => {
    using other = openChannel(daemon.address, { namespace: 'goes' });
    const there = createClient(Store, other);
    await there.create({ sandbox: sandboxOf('a') });
    await createClient(Namespaces, other).delete({ name: 'goes' });
    assert.deepEqual((await there.list({})).list, []);
  });

  const one = (sandboxId: string, more: object = {}) => ({
    sandbox: { sandboxId, runtime: { name: 'x' }, ...more },
  });
  const words: [string, () => Promise<unknown>, string | RegExp][] = [
    [
      'Get where there never was one',
      () => store.get({ sandboxId: 'q' }),
      'not_found | no sandbox buckets: not found',
    ],
    ['Create of nothing', () => store.create({}), 'invalid_argument | sandbox must be set: invalid argument'],
    [
      'Create without an id',
      () => store.create(one('')),
      'invalid_argument | failed to validate sandbox: invalid sandbox ID: identifier must not be empty: invalid argument',
    ],
    [
      'Create of an odd id',
      () => store.create(one('../a')),
      /^invalid_argument \| failed to validate sandbox: invalid sandbox ID: identifier "..\/a" must match /,
    ],
    ['Create', () => store.create(one('w')), 'none'],
    [
      'Create again',
      () => store.create(one('w')),
      'already_exists | write error: sandbox bucket "w" already exists: already exists',
    ],
    [
      'Create with a nameless extension',
      () => store.create(one('v', { extensions: { '': { typeUrl: 'a', value: Buffer.of() } } })),
      'unknown | write error: key required',
    ],
    ['Get of another', () => store.get({ sandboxId: 'q' }), 'not_found | bucket "q" not found: not found'],
    [
      'Update of another runtime',
      () => store.update(one('w', { runtime: { name: 'y' } })),
      'invalid_argument | sandbox.Runtime.Name field is immutable: invalid argument',
    ],
    [
      'Update of an unknown field',
      () => store.update({ ...one('w'), fields: ['sandboxer'] }),
      'invalid_argument | cannot update "sandboxer" field on sandbox "w": invalid argument',
    ],
    [
      'Update of another',
      () => store.update({ ...one('q'), fields: ['labels'] }),
      'not_found | bucket "q" not found: not found',
    ],
    [
      'List of a broken filter',
      () => store.list({ filters: ['bad filter ==='] }),
      /^invalid_argument \| filters: parse error: /,
    ],
    [
      'Delete of another',
      () => store.delete({ sandboxId: 'q' }),
      'not_found | failed to delete sandbox "q": not found',
    ],
    ['Delete', () => store.delete({ sandboxId: 'w' }), 'none'],
  ];
  test("codes and words are containerd's", async () => {
    for (const [name, call, expected] of words) {
      const failure = await failureOf(call());
      if (typeof expected === 'string') assert.equal(failure, expected, name);
      else assert.match(failure, expected, name);
    }
  });
});

for (const protocol of ['ttrpc', 'grpc'] as const)
  describe(`A-10: sandbox controller, a shim that speaks ${protocol}`, () => {
    before(() => {
      shim = podShim(protocol);
      topics.length = 0;
    });
    test('a sandbox lives: create, start, status, platform, metrics, stop, wait, shutdown; its events come in order', async () => {
      const started = await startSandbox('life');
      assert.ok(started.pid > 0);
      assert.equal(started.address, `unix://${join(daemon.dir, started.address.split('/').at(-1) ?? '')}`);
      assert.equal(started.version, 3);
      const on = { sandboxId: 'life', sandboxer };
      const status = await controller.status({ ...on, verbose: true });
      assert.deepEqual(
        [status.state, status.pid, { ...status.info }],
        ['READY', started.pid, { of: 'pod-shim' }],
      );
      assert.equal((await controller.platform(on)).platform?.architecture, 'pod');
      assert.equal((await controller.metrics(on)).metrics?.data?.typeUrl, 'pod/metrics');
      await controller.update({ ...on, sandbox: sandboxOf('life'), fields: ['labels'] });
      const waiting = controller.wait(on);
      await controller.stop({ ...on, timeoutSecs: 3 });
      assert.equal((await waiting).exitStatus, 7);
      assert.deepEqual(
        calls('life').filter((line) => line !== 'status'),
        ['create', 'netns /proc/self/ns/net', 'start', 'stop', 'timeout 3'],
      );
      await controller.shutdown(on);
      await until(() => shims().length === 0, 'the end of the shim');
      assert.equal(existsSync(bundleOf('life')), false);
      assert.equal((await controller.status(on)).state, '');
      const own = () => topics.filter((line) => line.split(' ')[1] === 'life');
      await until(() => own().length >= 3, 'three events');
      assert.deepEqual(own(), ['/sandboxes/create life', '/sandboxes/start life', '/sandboxes/exit life 7']);
    });

    test('berth/client does the same: a record, and its sandbox from create to shutdown', async () => {
      const { spec } = sandboxOf('typed');
      const record = { id: 'typed', runtime: { name: shim }, spec, labels: { a: 'b' } };
      const made = await client.sandboxes.create(record);
      assert.deepEqual([made.id, made.sandboxer, made.runtime.name], ['typed', 'shim', shim]);
      assert.deepEqual(
        (await client.sandboxes.update({ ...record, labels: { a: 'c' } }, ['labels'])).labels,
        {
          a: 'c',
        },
      );
      assert.deepEqual(
        (await client.sandboxes.list(['labels.a==c'])).map(({ id }) => id),
        ['typed'],
      );
      await assert.rejects(client.sandboxes.create(record), { kind: 'already_exists' });

      const [ctx, sandboxes] = [client.context(), client.sandboxController()];
      await sandboxes.create(ctx, {
        sandbox: made,
        rootfs: [],
        options: undefined,
        netnsPath: '/proc/self/ns/net',
        annotations: {},
      });
      const { pid } = await sandboxes.start(ctx, 'typed');
      assert.ok(pid > 0);
      assert.equal((await sandboxes.status(ctx, 'typed', false)).pid, pid);
      assert.equal((await sandboxes.platform(ctx, 'typed')).os, 'linux');
      const ended = sandboxes.wait(ctx, 'typed');
      await sandboxes.stop(ctx, 'typed', 5);
      assert.equal((await ended).exitStatus, 7);
      await sandboxes.shutdown(ctx, 'typed');
      await client.sandboxes.delete('typed');
      await assert.rejects(client.sandboxes.get('typed'), { kind: 'not_found' });
      await assert.rejects(client.sandboxController('nobody').start(ctx, 'typed'), /nobody/);
    });

    test('ctr sandboxes run, ls, rm; a container with its id runs in its shim, over a kill -9 of the daemon', async () => {
      const ctr = (...args: string[]) =>
        output(ctr2, ['-a', daemon.address, '-n', namespace, 'sandboxes', ...args]);
      const config = join(daemon.dir, 'pod.json');
      writeFileSync(config, '{"metadata":{"name":"p","uid":"u","namespace":"n"}}');
      await ctr('run', '--runtime', shim, config, 'pod');
      assert.match(await ctr('ls'), new RegExp(`\npod .*${shim}`));
      await runIn('pod', `${protocol}-c1`);
      assert.equal(shims().length, 2, 'the container started no shim of its own');
      await restart();
      assert.equal((await controller.status({ sandboxId: 'pod', sandboxer })).state, 'READY');
      const tasks = createClient(Tasks, channel);
      assert.equal((await tasks.get({ containerId: `${protocol}-c1` })).process?.status, 2);
      await tasks.kill({ containerId: `${protocol}-c1`, signal: 9 });
      assert.equal((await tasks.wait({ containerId: `${protocol}-c1` })).exitStatus, 137);
      await tasks.delete({ containerId: `${protocol}-c1` });
      assert.equal(
        (await controller.status({ sandboxId: 'pod', sandboxer })).state,
        'READY',
        'it outlives its container',
      );
      await runIn('pod', `${protocol}-c2`, '/nope').then(
        () => assert.fail('it cannot run'),
        (error) => assert.match(String(error), /failed to create shim task: .*"\/nope"/),
      );
      await runIn('pod', `${protocol}-c3`);
      await tasks.kill({ containerId: `${protocol}-c3`, signal: 9 });
      await tasks.wait({ containerId: `${protocol}-c3` });
      await tasks.delete({ containerId: `${protocol}-c3` });
      await ctr('rm', 'pod');
      await until(() => shims().length === 0, 'the end of the shim');
      assert.deepEqual((await store.list({})).list, []);
    });

    async function runIn(sandbox: string, id: string, program = '/bin/sleep'): Promise<void> {
      const namespaces = ['pid', 'mount', 'ipc', 'uts'].map((type) => ({ type }));
      const spec = {
        ociVersion: '1.0.2',
        process: { user: { uid: 0, gid: 0 }, args: [program, '1000'], cwd: '/' },
        root: { path: join(daemon.dir, 'r'), readonly: false },
        mounts: [{ destination: '/proc', type: 'proc', source: 'proc' }],
        linux: { namespaces, cgroupsPath: `/${namespace}/${id}` },
      };
      const value = Buffer.from(JSON.stringify(spec));
      const container = { id, sandbox, runtime: { name: shim }, spec: { typeUrl: specType, value } };
      await createClient(Containers, channel).create({ container });
      const tasks = createClient(Tasks, channel);
      await tasks.create({ containerId: id });
      await tasks.start({ containerId: id });
    }

    test('a shim that dies takes its sandbox along, and its exit is told once', async () => {
      const { pid } = await startSandbox('dies');
      await restart();
      process.kill(pid, 'SIGKILL');
      await until(() => !existsSync(bundleOf('dies')), 'the end of the sandbox');
      const exits = () => topics.filter((line) => line.startsWith('/sandboxes/exit dies'));
      await until(() => exits().length > 0, 'its exit');
      assert.deepEqual(exits(), ['/sandboxes/exit dies 255']);
      await until(() => shims().length === 0, 'the end of the shim');
      assert.equal(
        await failureOf(controller.wait({ sandboxId: 'dies', sandboxer })),
        'not_found | not found',
      );
    });

    test('one that cannot be created or started leaves nothing', async () => {
      for (const method of ['create', 'start']) {
        const id = `fails-${method}`;
        const make = async () => {
          const annotations = { fail: method };
          await controller.create({ sandboxId: id, sandboxer, sandbox: sandboxOf(id), annotations });
          await controller.start({ sandboxId: id, sandboxer });
        };
        assert.match(
          await failureOf(make()),
          new RegExp(`^unknown \\| .*failed to ${method} sandbox ${id}: ${method} was told to fail$`),
        );
        await until(() => shims().length === 0, 'the end of the shim');
        assert.equal(existsSync(bundleOf(id)), false);
      }
    });
  });

describe('A-10: sandbox controller', () => {
  const on = (name: string, sandboxId = 'q') => ({ sandboxId, sandboxer: name });
  const create = (sandboxId: string, runtime: string) =>
    controller.create({ sandboxId, sandboxer, sandbox: { ...sandboxOf(sandboxId, runtime) } });
  const words: [string, () => Promise<unknown>, string | RegExp][] = [
    [
      'no sandboxer',
      () => controller.create(on('')),
      'invalid_argument | invalid argument: sandbox controller name can not be empty',
    ],
    [
      "podsandbox, which is the CRI's",
      () => controller.create(on('podsandbox')),
      /^not_found \| not found: failed to get sandbox controller by podsandbox/,
    ],
    [
      'Start of an unknown sandboxer',
      () => controller.start(on('nope')),
      /^not_found \| failed to get sandbox controller for "nope": not found: failed to get sandbox controller by nope/,
    ],
    [
      'no runtime',
      () => controller.create(on('shim')),
      'unknown | failed to start new shim for sandbox q: failed to resolve runtime path: no runtime name',
    ],
    [
      'a runtime that is not there',
      () => create('q', 'io.containerd.nope.v1'),
      'unknown | failed to start new shim for sandbox q: failed to resolve runtime path: runtime "io.containerd.nope.v1" binary not installed "containerd-shim-nope-v1": file does not exist',
    ],
    [
      'berth-shim',
      () => create('q', 'io.containerd.runc.v2'),
      /^not_implemented \| failed to create sandbox q: service containerd.runtime.sandbox.v1.Sandbox/,
    ],
    [
      'a shim without the sandbox API',
      () => create('q', shim2),
      /^not_implemented \| failed to create sandbox q: service containerd.runtime.sandbox.v1.Sandbox/,
    ],
    [
      'no id',
      () => create('', shim),
      'invalid_argument | invalid task id : identifier must not be empty: invalid argument',
    ],
    [
      'an odd id',
      () => create('a/b', shim),
      /^invalid_argument \| invalid task id a\/b: identifier "a\/b" must match /,
    ],
    [
      'Start of none',
      () => controller.start(on('shim')),
      'unknown | failed to start sandbox "q": unable to find sandbox "q"',
    ],
    ['Stop of none', () => controller.stop(on('shim')), 'none'],
    ['Wait for none', () => controller.wait(on('shim')), 'not_found | not found'],
    ['Shutdown of none', () => controller.shutdown(on('shim')), 'not_found | not found'],
    ['Metrics of none', () => controller.metrics(on('shim')), 'not_found | not found'],
    ['Update to nothing', () => controller.update(on('shim')), 'unknown | sandbox can not be nil'],
  ];
  test("codes and words are containerd's", async () => {
    for (const [name, call, expected] of words) {
      const failure = await failureOf(call());
      if (typeof expected === 'string') assert.equal(failure, expected, name);
      else assert.match(failure, expected, name);
    }
    const { createdAt, state, extra } = await controller.status(on('shim'));
    assert.deepEqual([createdAt?.seconds, state, extra?.typeUrl], [-62135596800n, '', '']);
    assert.deepEqual(shims(), []);
    assert.equal(existsSync(bundleOf('q')), false);
  });
});

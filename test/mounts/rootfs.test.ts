import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { create, toBinary } from '@bufbuild/protobuf';
import { Containers } from '../../src/gen/containerd/services/containers/v1/containers_pb.ts';
import { Tasks } from '../../src/gen/containerd/services/tasks/v1/tasks_pb.ts';
import { RuntimeInfoSchema } from '../../src/gen/containerd/types/types_pb.ts';
import { createClient } from '../../src/rpc/grpc-client.ts';
import { removeCgroups } from '../kit/leftovers.ts';
import { shim2 } from '../kit/paths.ts';
import { output } from '../kit/run.ts';
import { makeRootfs } from '../runtime/harness.ts';
import { failureOf, isMissing, loopsOver, MountStage, mount } from './stage.ts';

let stage: MountStage;
let lower: string;
let disk: string;
before(async () => {
  stage = await MountStage.open();
  lower = join(stage.daemon.dir, 'lower');
  makeRootfs(lower);
  disk = join(stage.daemon.dir, 'disk.img');
  await output('truncate', ['-s', '64M', disk]);
  await output('mkfs.ext4', ['-q', disk]);
});
after(async () => {
  await stage[Symbol.asyncDispose]();
  removeCgroups(['m']);
});

/** An overlay that writes to a directory of the file system in `disk`, over a bind mount. */
const rootfs = (upper: string) => [
  mount('bind', lower, 'rbind', 'ro'),
  mount('ext4', disk, 'loop'),
  mount(
    'format/mkdir/overlay',
    'overlay',
    `X-containerd.mkdir.path={{ mount 1 }}/${upper}:0755`,
    `X-containerd.mkdir.path={{ mount 1 }}/work:0755`,
    'lowerdir={{ mount 0 }}',
    `upperdir={{ mount 1 }}/${upper}`,
    'workdir={{ mount 1 }}/work',
    'index=off',
  ),
];

async function makeContainer(id: string, runtime: string, ...args: string[]): Promise<void> {
  const namespaces = ['pid', 'mount', 'ipc', 'uts'].map((type) => ({ type }));
  const spec = {
    ociVersion: '1.0.2',
    process: { user: { uid: 0, gid: 0 }, args, cwd: '/', env: ['PATH=/bin'] },
    root: { path: 'rootfs' },
    mounts: [{ destination: '/proc', type: 'proc', source: 'proc' }],
    linux: { namespaces, cgroupsPath: `/m/${id}` },
  };
  const typeUrl = 'types.containerd.io/opencontainers/runtime-spec/1/Spec';
  const container = {
    id,
    runtime: { name: runtime },
    spec: { typeUrl, value: Buffer.from(JSON.stringify(spec)) },
  };
  await createClient(Containers, stage.channel).create({ container });
}

const tasks = () => createClient(Tasks, stage.channel);

for (const [name, runtime] of Object.entries({
  'berth-shim': 'io.containerd.runc.v2',
  'another shim': shim2,
}))
  test(`M-1: root mounts of a task of ${name} are activated for as long as it is there`, async () => {
    const id = name.replace(' ', '-');
    await makeContainer(id, runtime, '/bin/sh', '-c', `echo -n ${id} > /name`);
    await tasks().create({ containerId: id, rootfs: rootfs(id) });
    const { info } = await stage.mounts.info({ name: id });
    assert.deepEqual(
      info?.active.map(({ mount }) => mount?.type),
      ['bind', 'ext4'],
    );
    assert.deepEqual({ ...info?.labels }, { 'containerd.io/gc.bref.container': id });
    await tasks().start({ containerId: id });
    assert.equal((await tasks().wait({ containerId: id })).exitStatus, 0);
    const written = join(info?.active[1]?.mountPoint ?? '', id, 'name');
    assert.equal(readFileSync(written, 'utf8'), id);
    await tasks().delete({ containerId: id });
    await assert.rejects(stage.mounts.info({ name: id }), isMissing);
    assert.deepEqual(stage.left(), []);
    assert.deepEqual(loopsOver(stage.daemon.dir), []);
    await createClient(Containers, stage.channel).delete({ id });
  });

test('a task that cannot be made leaves no mounts and no bundle', async () => {
  await makeContainer('bad', 'io.containerd.runc.v2', '/nope');
  assert.match(
    await failureOf(tasks().create({ containerId: 'bad', rootfs: rootfs('bad') })),
    /failed to create shim task/,
  );
  const odd = [mount('format/bind', '{{ mount 7 }}')];
  assert.match(
    await failureOf(tasks().create({ containerId: 'bad', rootfs: odd })),
    /index out of bounds: 7/,
  );
  assert.deepEqual(stage.left(), []);
  assert.equal(existsSync(join(stage.daemon.state, 'io.containerd.runtime.v2.task/m/bad')), false);
});

test('what a shim makes itself, by the annotation containerd.io/runtime-allow-mounts, is left to it', async () => {
  const dir = join(stage.daemon.dir, 'shim');
  mkdirSync(dir);
  const annotations = { 'containerd.io/runtime-allow-mounts': 'format/*, erofs' };
  writeFileSync(
    join(dir, 'info'),
    toBinary(RuntimeInfoSchema, create(RuntimeInfoSchema, { name: 'x', annotations })),
  );
  const program = join(dir, 'containerd-shim-picky-v1');
  writeFileSync(program, `#!/bin/sh\n[ "$1" = -info ] && exec cat ${dir}/info\nexec ${shim2} "$@"\n`, {
    mode: 0o755,
  });
  await makeContainer('picky', program, '/bin/true');
  // The shim below cannot: that it is asked to shows that it was given the mount as it is.
  const refused = await failureOf(
    tasks().create({ containerId: 'picky', rootfs: [mount('format/bind', lower)] }),
  );
  assert.match(refused, /format\/bind/);
  await tasks().create({ containerId: 'picky', rootfs: [mount('mkdir/bind', lower, 'rbind')] });
  await tasks().kill({ containerId: 'picky', signal: 9 });
  await tasks().wait({ containerId: 'picky' });
  await tasks().delete({ containerId: 'picky' });
  assert.deepEqual(stage.left(), []);
});

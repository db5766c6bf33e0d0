import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Json } from '../strict-json.ts';
import { buildSpec } from './build.ts';
import { cdiNamesOf, withEdits } from './cdi-edits.ts';
import { isCdiName, parseCdiSpec } from './cdi-spec.ts';
import { parseIdMap } from './id-maps.ts';

const whole = {
  cdiVersion: '0.6.0',
  kind: 'vendor.example/gpu',
  containerEdits: { env: ['ALL=1'] },
  devices: [
    {
      name: '0',
      containerEdits: {
        deviceNodes: [{ path: '/dev/gpu0', hostPath: '/dev/x0', permissions: 'rw' }],
        mounts: [{ hostPath: '/opt/lib', containerPath: '/lib/gpu' }],
        hooks: [{ hookName: 'createContainer', path: '/bin/hook', args: ['hook', 'x'], timeout: 5 }],
        additionalGids: [0, 44],
      },
    },
  ],
};

test('names of devices are vendor/class=name', () => {
  for (const fine of ['vendor.com/class=name', 'a/b=0', 'v-1/c_2.x=mig:0.1'])
    assert.ok(isCdiName(fine), fine);
  for (const odd of [
    '',
    '/dev/null',
    'a/b',
    'a=b',
    'a/b=c=d',
    'a/b/c=d',
    '/a=b',
    'a/1=b',
    '-a/b=c',
    'a/b=',
    'a/b=x y',
  ])
    assert.ok(!isCdiName(odd), odd);
});

test('a file is read whole, and what it must not hold is refused by name', () => {
  const { kind, devices, edits } = parseCdiSpec(whole, 'f');
  assert.equal(kind, 'vendor.example/gpu');
  assert.deepEqual(edits.env, ['ALL=1']);
  assert.deepEqual(devices[0]?.edits.additionalGids, [44]);
  assert.deepEqual(devices[0]?.edits.hooks[0]?.args, ['hook', 'x']);
  const odd: [object, RegExp][] = [
    [{ cdiVersion: '2.0.0' }, /cdiVersion/],
    [{ kind: 'vendor' }, /kind/],
    [{ devices: 7 }, /devices: want an array/],
    [{ devices: [{ name: '../x' }] }, /name/],
    [{ containerEdits: { env: ['NOVALUE'] } }, /env/],
    [{ containerEdits: { deviceNodes: [{ path: 'dev/x' }] } }, /not absolute/],
    [{ containerEdits: { deviceNodes: [{ path: '/dev/x', permissions: 'rx' }] } }, /permissions/],
    [{ containerEdits: { hooks: [{ hookName: 'onStart', path: '/x' }] } }, /hook onStart/],
    [{ containerEdits: { intelRdt: {} } }, /intelRdt is not supported/],
  ];
  for (const [change, words] of odd)
    assert.throws(() => parseCdiSpec({ ...whole, ...change } as Json, 'f'), words, JSON.stringify(change));
});

test('edits add to a specification, and replace what is of the same name', () => {
  const user = { uid: 1, gid: 2, additionalGids: [2] };
  const image = {
    ...{ user: '', env: ['ALL=0', 'A=1'], entrypoint: [], cmd: ['run'], workingDir: '/', labels: {} },
    ...{ stopSignal: '', exposedPorts: [], volumes: [] },
  };
  const spec = buildSpec(image, { id: 'a', namespace: 'n', user, host: { architecture: 'amd64' } });
  const device = { path: '/dev/gpu0', type: 'c', major: 7, minor: 8 } as const;
  const edits = {
    ...{ env: ['ALL=1'], additionalGids: [44], devices: [{ ...device, access: 'rw' }] },
    mounts: [{ hostPath: '/opt', containerPath: '/proc' }],
    hooks: [{ hookName: 'poststop', path: '/bin/hook' }],
  };
  const { process, mounts, linux, hooks } = withEdits(spec, edits);
  assert.deepEqual(process.user.additionalGids, [2, 44]);
  assert.ok(process.env.includes('ALL=1') && !process.env.includes('ALL=0') && process.env.includes('A=1'));
  assert.deepEqual(linux.devices, [device]);
  assert.deepEqual(linux.resources.devices.at(-1), {
    allow: true,
    type: 'c',
    major: 7,
    minor: 8,
    access: 'rw',
  });
  assert.equal(mounts.filter(({ destination }) => destination === '/proc').length, 1);
  assert.deepEqual(mounts.at(-1)?.options, ['rbind', 'ro']);
  assert.deepEqual(hooks, { poststop: [{ path: '/bin/hook' }] });
});

test('annotations name devices under cdi.k8s.io/, several with commas', () => {
  assert.deepEqual(cdiNamesOf({ 'cdi.k8s.io/a': 'v/c=1,v/c=2', 'cdi.k8s.io/b': 'v/c=1', other: 'x' }), [
    'v/c=1',
    'v/c=2',
  ]);
  assert.throws(() => cdiNamesOf({ 'cdi.k8s.io/a': '/dev/null' }), { kind: 'invalid_argument' });
});

test('maps of a user namespace are inside:outside:size with somebody for id 0', () => {
  assert.deepEqual(parseIdMap('0:100000:1,1:5:2'), [
    { containerID: 0, hostID: 100000, size: 1 },
    { containerID: 1, hostID: 5, size: 2 },
  ]);
  for (const odd of ['', '0:1', '1:100:5', '0:1:0', '0:4294967295:2', '0:-1:1', 'a:b:c'])
    assert.throws(() => parseIdMap(odd), { kind: 'invalid_argument' }, odd);
});

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { digestBytes } from './digest.ts';
import { parseImageConfig } from './image-config.ts';

const bytes = (value: unknown): Uint8Array =>
  new TextEncoder().encode(typeof value === 'string' ? value : JSON.stringify(value));
const image = {
  architecture: 'amd64',
  os: 'linux',
  config: { Env: ['PATH=/bin'], Cmd: ['sh'], User: '1:2', Labels: { a: 'b' }, Volumes: { '/v': {} } },
  rootfs: { type: 'layers', diff_ids: [digestBytes('layer')] },
  history: [{ created_by: 'x', empty_layer: true }],
};

test('an image config is read', () => {
  const parsed = parseImageConfig(bytes(image));
  assert.deepEqual(parsed.platform, { os: 'linux', architecture: 'amd64' });
  assert.deepEqual(parsed.diffIds, [digestBytes('layer')]);
  assert.deepEqual(parsed.process.cmd, ['sh']);
  assert.deepEqual(parsed.process.volumes, ['/v']);
  assert.deepEqual(parsed.history, [{ createdBy: 'x', emptyLayer: true }]);
});

test("null counts as absent, as Docker's configs have it", () => {
  const nulls = { Env: null, Cmd: null, Entrypoint: null, Labels: null, Volumes: null, WorkingDir: null };
  const parsed = parseImageConfig(bytes({ ...image, config: nulls, history: null }));
  assert.deepEqual(parsed.process.env, []);
  assert.deepEqual(parseImageConfig(bytes({ ...image, config: null })).process.entrypoint, []);
});

const wrong: [string, unknown][] = [
  ['rootfs', undefined],
  ['rootfs', { type: 'tree' }],
  ['rootfs', { type: 'layers', diff_ids: ['sha256:../x'] }],
  ['rootfs', { type: 'layers', diff_ids: [null] }],
  ['rootfs', { type: 'layers', diff_ids: Array.from({ length: 1001 }, () => digestBytes('x')) }],
  ['history', [null]],
  ['history', {}],
  ['config', []],
  ['config', { Env: 'PATH=/bin' }],
  ['config', { Env: [5] }],
  ['config', { Cmd: 'sh' }],
  ['config', { Labels: { a: 1 } }],
  ['config', { User: 0 }],
  ['architecture', 5],
];
for (const [field, value] of wrong)
  test(`${field} ${JSON.stringify(value)?.slice(0, 40)} is refused`, () => {
    assert.throws(() => parseImageConfig(bytes({ ...image, [field]: value })), { kind: 'invalid_argument' });
  });

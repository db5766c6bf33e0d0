import assert from 'node:assert/strict';
import { test } from 'node:test';
import { resolveUser } from './user.ts';

const text = (s: string): Uint8Array => new TextEncoder().encode(s);
const passwd = text(
  [
    'root:x:0:0:root:/root:/bin/sh',
    '# comment',
    '',
    '+@nis',
    'broken',
    'app:x:1000:1001:App:/home/app:/bin/sh',
    'evil:x:4294967296:0::/:/bin/sh',
    'evil2:x:2147483648:0::/:/bin/sh',
    'negative:x:-1:0::/:/bin/sh',
    '4294967296000:x:0:0::/root:/bin/sh',
    '4294967295:x:0:0::/root:/bin/sh',
    '1e3:x:0:0::/root:/bin/sh',
    '0x0:x:0:0::/root:/bin/sh',
    '+5:x:0:0::/root:/bin/sh',
    '389ds:x:389:389::/ds:/bin/sh',
    'odd:x:1002:1002::/a\rb:/bin/sh',
  ].join('\n'),
);
const group = text(
  [
    'root:x:0:root',
    'wheel:x:10:root,app',
    'app:x:1001:',
    'dev:x:1005:app',
    'big:x:4294967296:app',
    'bad:x:y:app',
  ].join('\n'),
);
const files = { passwd, group };
const root = { uid: 0, gid: 0, name: 'root', home: '/root' };
const app = { uid: 1000, gid: 1001, name: 'app', home: '/home/app' };

const good: [user: string, expected: object][] = [
  ['', { ...root, additionalGids: [0, 10] }],
  ['root', { ...root, additionalGids: [0, 10] }],
  ['0', { ...root, additionalGids: [0, 10] }],
  ['app', { ...app, additionalGids: [1001, 10, 1005] }],
  ['1000', { ...app, additionalGids: [1001, 10, 1005] }],
  ['1000:', { ...app, additionalGids: [1001, 10, 1005] }],
  ['app:dev', { ...app, gid: 1005, additionalGids: [1005] }],
  ['app:7', { ...app, gid: 7, additionalGids: [7] }],
  ['1000:1000', { ...app, gid: 1000, additionalGids: [1000] }],
  ['77', { uid: 77, gid: 0, additionalGids: [0] }],
  ['77:88', { uid: 77, gid: 88, additionalGids: [88] }],
  ['2147483647', { uid: 2147483647, gid: 0, additionalGids: [0] }],
  ['01000', { ...app, additionalGids: [1001, 10, 1005] }],
  ['389ds', { uid: 389, gid: 389, additionalGids: [389], name: '389ds', home: '/ds' }],
  ['odd', { uid: 1002, gid: 1002, additionalGids: [1002], name: 'odd' }],
];
for (const [user, expected] of good)
  test(`USER ${JSON.stringify(user)} runs as ${JSON.stringify(expected)} (CVE-2023-25173)`, () => {
    assert.deepEqual(resolveUser(user, files), expected);
  });

const outOfRange = [
  '2147483648',
  '4294967295',
  '4294967296',
  '4294967296000',
  '9'.repeat(36),
  '1'.repeat(400),
];
const oddForms = [
  '-1',
  '1e3',
  '0x0',
  '0b0',
  ' 0',
  '0 ',
  '+5',
  '+0',
  'Infinity',
  '0\n',
  '\t',
  '0\0',
  '٠',
  '1_0',
  '.5',
];
const others = [
  'nobody',
  'evil',
  'evil2',
  'negative',
  'broken',
  '#',
  'app:nogroup',
  'app:big',
  'app:bad',
  'a:b:c',
];
const many = [
  Array(30).fill('0:9').join(':'),
  `${'0:9'.repeat(30)}`,
  `${'a'.repeat(600)}`,
  'app:4294967296',
  '0:-1',
];
for (const user of [...outOfRange, ...oddForms, ...others, ...many])
  test(`CVE-2024-40635, CVE-2026-46680: USER ${JSON.stringify(user.slice(0, 50))} is refused`, () => {
    assert.throws(() => resolveUser(user, files), { kind: 'invalid_argument' });
  });

test('an image without account files runs as numbers and as root only', () => {
  assert.deepEqual(resolveUser('', {}), { uid: 0, gid: 0, additionalGids: [0] });
  assert.deepEqual(resolveUser('5:6', {}), { uid: 5, gid: 6, additionalGids: [6] });
  assert.throws(() => resolveUser('app', {}), { kind: 'invalid_argument' });
});

test('CVE-2026-47262: huge account files are refused or read in bounded time', () => {
  const started = performance.now();
  assert.throws(() => resolveUser('app', { passwd: new Uint8Array(10 * 1024 * 1024 + 1) }), {
    kind: 'invalid_argument',
  });
  assert.throws(() => resolveUser('app', { passwd: new Uint8Array(10 * 1024 * 1024) }), {
    kind: 'invalid_argument',
  });
  const members = text(`crowd:x:9:${'m,'.repeat(5_000_000)}app\n`);
  assert.deepEqual(resolveUser('app', { passwd, group: members }).additionalGids, [1001, 9]);
  const lines = Array.from({ length: 70_000 }, (_, i) => `g${i}:x:${i}:app`).join('\n');
  assert.throws(() => resolveUser('app', { passwd, group: text(lines) }), { kind: 'resource_exhausted' });
  assert.ok(performance.now() - started < 5_000);
});

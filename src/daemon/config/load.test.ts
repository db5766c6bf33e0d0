import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isKind, messageOf } from '../../errors/error.ts';
import { defaultConfig } from './config.ts';
import { loadConfig, parseConfig } from './load.ts';
import { renderConfig } from './render.ts';

test('the default configuration reads back as itself, without a warning', () => {
  const other = { ...defaultConfig, root: '/other', contentSharing: 'isolated' } as const;
  assert.deepEqual(parseConfig(renderConfig(defaultConfig), 'f', other), {
    config: defaultConfig,
    warnings: [],
  });
});

test("keys of containerd's version 2 that mean something here are taken, the others are listed with their lines", () => {
  const text = [
    'version = 2',
    'oom_score = -999',
    '[plugins."io.containerd.grpc.v1.cri"]',
    '  sandbox_image = "x"',
    '  [plugins."io.containerd.grpc.v1.cri".registry]',
    '    config_path = "/a:/b"',
  ].join('\n');
  const { config, warnings } = parseConfig(text, '/etc/c.toml');
  assert.deepEqual(config.hostsDirs, ['/a', '/b']);
  assert.deepEqual(warnings, [
    '/etc/c.toml:2: oom_score',
    '/etc/c.toml:4: plugins.io.containerd.grpc.v1.cri.sandbox_image',
  ]);
});

test("a runtime's binary is taken from containerd's version 3", () => {
  const text =
    '[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc.options]\nBinaryName = "/usr/bin/crun"';
  assert.equal(parseConfig(text, 'f').config.ociRuntime, '/usr/bin/crun');
});

const bad: readonly (readonly [string, RegExp])[] = [
  ['root = "relative"', /^f:1: root must be an absolute path/],
  ['\n[grpc]\naddress = 5', /^f:3: grpc.address must be an absolute path of at most 107 bytes/],
  ['[grpc]\ngid = -1', /^f:2: grpc.gid must be a whole number from 0/],
  ['[debug]\nlevel = "loud"', /^f:2: debug.level must be one of/],
  ['version = 9', /^f:1: version must be 2 or 3/],
  ['root = ', /^f:1: /],
  [
    '[plugins."io.containerd.gc.v1.scheduler"]\nschedule_delay = "soon"',
    /^f:2: .*schedule_delay must be a duration/,
  ],
];
for (const [text, expected] of bad) {
  test(`refuses ${JSON.stringify(text)} and says where and what is allowed`, () => {
    assert.throws(
      () => parseConfig(text, 'f'),
      (e: Error) => isKind(e, 'invalid_argument') && expected.test(e.message),
    );
  });
}

test('names that JavaScript objects have by themselves are ordinary unknown keys', () => {
  const { warnings } = parseConfig('["__proto__"]\nx = 1\n[constructor]\ny = 2', 'f');
  assert.equal(warnings.length, 2);
  assert.equal(({} as Record<string, unknown>).x, undefined);
});

test('a file that is not there is not found', () => {
  assert.throws(
    () => loadConfig('/nonexistent/config.toml'),
    (e) => isKind(e, 'not_found') && /config\.toml does not exist/.test(messageOf(e)),
  );
});

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { isKind, messageOf } from '../../errors/error.ts';
import { defaultConfig } from './config.ts';
import { defaultOciRuntime } from './derived.ts';
import { changesBetween } from './diff.ts';
import { keys } from './keys.ts';
import { loadConfig, parseConfig } from './load.ts';
import { renderConfig } from './render.ts';

test('the default configuration reads back as itself, without a warning', () => {
  const other = { ...defaultConfig, root: '/other', contentSharing: 'isolated' } as const;
  const read = parseConfig(renderConfig(defaultConfig), 'f', other);
  assert.deepEqual(read, { config: defaultConfig, warnings: [], deprecations: [], unread: [] });
});

test('every setting of a file reads back from what is rendered of it', () => {
  const text = readFileSync(join(import.meta.dirname, 'testdata/everything.toml'), 'utf8');
  const { config, warnings } = parseConfig(text, 'f');
  assert.deepEqual(warnings, []);
  const same = changesBetween(defaultConfig, config).length;
  assert.equal(same, keys.length);
  assert.deepEqual(parseConfig(renderConfig(config), 'f').config, config);
});

test("keys of containerd's version 2 that mean something here are taken, the others are listed with their lines", () => {
  const text = [
    'version = 2',
    'colour = "red"',
    '[plugins."io.containerd.grpc.v1.cri"]',
    '  stream_server_address = "::"',
    '  [plugins."io.containerd.grpc.v1.cri".registry]',
    '    config_path = "/a:/b"',
  ].join('\n');
  const { config, warnings } = parseConfig(text, '/etc/c.toml');
  assert.deepEqual(config.hostsDirs, ['/a', '/b']);
  assert.deepEqual(warnings, [
    '/etc/c.toml:2: colour',
    '/etc/c.toml:4: plugins."io.containerd.grpc.v1.cri".stream_server_address',
  ]);
});

test("a runtime's binary is taken from containerd's version 3", () => {
  const text =
    '[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc.options]\nBinaryName = "/usr/bin/crun"';
  assert.equal(defaultOciRuntime(parseConfig(text, 'f').config), '/usr/bin/crun');
});

const bad: readonly (readonly [string, RegExp])[] = [
  ['root = "relative"', /^f:1: root must be an absolute path/],
  ['\n[grpc]\naddress = 5', /^f:3: grpc.address must be an absolute path of at most 107 bytes/],
  ['[grpc]\ngid = -1', /^f:2: grpc.gid must be a whole number from 0/],
  ['[debug]\nlevel = "loud"', /^f:2: debug.level must be one of/],
  [
    '\n[timeouts]\n"io.containerd.timeout.shim.load" = "soon"',
    /^f:3: timeouts\..*shim\.load.* must be a duration/,
  ],
  [
    '[plugins."io.containerd.snapshotter.v1.overlayfs"]\nmount_options = ["upperdir=/x"]',
    /^f:2: .*mount_options must be an array of at most 32 mount options, without/,
  ],
  [
    '[plugins."io.containerd.snapshotter.v1.overlayfs"]\nmount_options = ["volatile,lowerdir=/x"]',
    /^f:2: .*mount_options must be/,
  ],
  ['version = 5', /^f:1: version must be 1 to 4/],
  ['version = "2"', /^f:1: version must be 1 to 4/],
  ['imports = "x"', /^f:1: imports must be an array of paths/],
  [
    'version = 2\ndisabled_plugins = ["cri"]',
    /^f:2: disabled_plugins must be an array of full plug-in names/,
  ],
  ['oom_score = 5000', /^f:1: oom_score must be a whole number from -1000 to 1000/],
  [
    'version = 4\n[plugins."io.containerd.server.v1.debug"]\naddress = "0.0.0.0:6060"',
    /^f:3: .*address must be .*this machine/,
  ],
  [
    '[plugins."io.containerd.shim.v1.manager"]\nenv = ["no value"]',
    /^f:2: .*env must be an array of at most 256 words/,
  ],
  [
    '[plugins.cri.containerd.runtimes.x]\nruntime_path = "kata"',
    /runtimes must be made of runtimes with absolute paths \(runtimes\.x\.runtime_path\)/,
  ],
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

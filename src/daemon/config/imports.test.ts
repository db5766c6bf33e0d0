import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { after, test } from 'node:test';
import { isKind } from '../../errors/error.ts';
import { defaultConfig } from './config.ts';
import { loadConfig } from './load.ts';

const dir = mkdtempSync('/var/tmp/berth-imports-');
after(() => rmSync(dir, { recursive: true }));

/** Writes files, relative to a directory of their own; returns the path of the first. */
function write(files: Readonly<Record<string, string>>): string {
  const top = mkdtempSync(join(dir, 'c-'));
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(dirname(join(top, name)), { recursive: true });
    writeFileSync(join(top, name), text);
  }
  return join(top, Object.keys(files)[0] ?? '');
}

test('imports are laid over the file breadth first, by pattern in order of names, relative to who imports', () => {
  const main = write({
    'main.toml':
      'version = 2\nimports = ["conf.d/*.toml", "last.toml"]\nroot = "/main"\nstate = "/main-state"',
    'conf.d/20.toml': 'version = 2\nroot = "/20"',
    'conf.d/10.toml': 'version = 2\nroot = "/10"\nimports = ["deep/own.toml"]',
    'conf.d/deep/own.toml': 'version = 2\nstate = "/deep"',
    'conf.d/30.conf': 'nonsense',
    'last.toml': 'version = 2\n[grpc]\naddress = "/last.sock"',
  });
  const { config } = loadConfig(main);
  assert.deepEqual([config.root, config.state, config.address], ['/20', '/deep', '/last.sock']);
});

test('files that import each other, or themselves by another name, are read once each', () => {
  const main = write({
    'a.toml': 'imports = ["b.toml", "*.toml", "./../*/a.toml"]\nroot = "/a"',
    'b.toml': 'imports = ["a.toml"]\nroot = "/b"',
  });
  assert.equal(loadConfig(main).config.root, '/b');
});

test('lists outside of plug-ins add up, what says nothing leaves what is there, a proxy plug-in is replaced whole', () => {
  const main = write({
    'm.toml': [
      'version = 3',
      'imports = ["d.toml"]',
      'disabled_plugins = ["a.b", "c.d"]',
      'oom_score = -5',
      '[proxy_plugins.one]',
      'type = "snapshot"',
      'address = "/one"',
      'exports = { root = "/x" }',
      '[plugins."io.containerd.snapshotter.v1.overlayfs"]',
      'slow_chown = true',
    ].join('\n'),
    'd.toml': [
      'version = 3',
      'disabled_plugins = ["c.d", "e.f"]',
      'oom_score = 0',
      'root = ""',
      '[proxy_plugins.one]',
      'type = "snapshot"',
      'address = "/two"',
      '[plugins."io.containerd.snapshotter.v1.overlayfs"]',
      'slow_chown = false',
    ].join('\n'),
  });
  const { config } = loadConfig(main);
  assert.deepEqual(config.disabledPlugins, ['a.b', 'c.d', 'e.f']);
  assert.deepEqual([config.oomScore, config.root], [-5, defaultConfig.root]);
  assert.deepEqual(config.proxyPlugins.one, {
    type: 'snapshot',
    address: '/two',
    capabilities: [],
    exports: {},
  });
  assert.equal(config.slowChown, false);
});

const refused: readonly (readonly [string, Readonly<Record<string, string>>, string, RegExp])[] = [
  [
    'an import that is not there',
    { 'm.toml': 'imports = ["no.toml"]' },
    'not_found',
    /no\.toml does not exist/,
  ],
  [
    'an import of a later version',
    { 'm.toml': 'version = 2\nimports = ["d.toml"]', 'd.toml': 'version = 3' },
    'invalid_argument',
    /d\.toml: drop-in config version 3 higher than root config version 2/,
  ],
  [
    'a mistake in an import, by its own place',
    { 'm.toml': 'imports = ["d.toml"]', 'd.toml': '\nroot = 5' },
    'invalid_argument',
    /d\.toml:2: root must be an absolute path/,
  ],
  ['a directory', { 'm.toml': 'imports = ["."]' }, 'invalid_argument', /: not a file/],
  [
    'more files than anybody has',
    Object.fromEntries([
      ['m.toml', 'imports = ["d/*.toml"]'],
      ...Array.from({ length: 300 }, (_, i) => [`d/${i}.toml`, ''] as const),
    ]),
    'invalid_argument',
    /more than 256 files/,
  ],
];
for (const [what, files, kind, words] of refused) {
  test(`refuses ${what}`, () => {
    assert.throws(
      () => loadConfig(write(files)),
      (error: Error) => isKind(error, kind as 'not_found') && words.test(error.message),
    );
  });
}

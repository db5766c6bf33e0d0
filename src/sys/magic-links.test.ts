import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { AT_FDCWD, O_DIRECTORY, O_PATH } from './constants.ts';
import { openAt } from './files.ts';
import { goesThroughMagicLink } from './magic-links.ts';

const magic = [
  '/proc/self/fd/7',
  '/proc/self/fd/8/../../..',
  '/x/../proc/self/fd/8/../..',
  '/proc/thread-self/fd/8',
  '/proc/1/root',
  '/proc/42/cwd',
  '//proc/./self//fd/9',
  '/../proc/self',
  '/dev/fd/3',
];
const plain = [
  '/',
  '',
  '/proc',
  '/proc/sys',
  '/procession/self',
  '/dev/shm',
  '/srv/proc/self/fd',
  '/proc/../srv',
];

test('CVE-2024-21626: paths through links to open files are known by their words', () => {
  for (const path of magic) assert.ok(goesThroughMagicLink(path), path);
  for (const path of plain) assert.ok(!goesThroughMagicLink(path), path);
});

test('CVE-2024-21626: links of an image are followed on the way, to what /proc will be', () => {
  const dir = mkdtempSync(join(tmpdir(), 'berth-magic-'));
  try {
    mkdirSync(join(dir, 'proc'));
    mkdirSync(join(dir, 'srv/deep'), { recursive: true });
    const links = {
      w: '/proc/self/fd/8',
      up: '../../../proc/self/fd/8',
      chain: 'w',
      'srv/deep/in': '../../proc',
      loop: 'loop',
      good: '/srv',
      dead: '/nowhere/at/all',
    };
    for (const [name, target] of Object.entries(links)) symlinkSync(target, join(dir, name));
    using root = openAt(AT_FDCWD, dir, O_PATH | O_DIRECTORY);
    for (const path of [...magic, '/w', '/w/x', '/up', '/chain/../..', '/srv/deep/in/1/root', '/loop'])
      assert.ok(goesThroughMagicLink(path, root), path);
    for (const path of [...plain, '/good/deep', '/dead', '/srv/deep/in', '/srv/deep/in/../good', '/none/x'])
      assert.ok(!goesThroughMagicLink(path, root), path);
  } finally {
    rmSync(dir, { recursive: true });
  }
});

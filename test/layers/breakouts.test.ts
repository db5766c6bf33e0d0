import assert from 'node:assert/strict';
import { lstatSync, mkdirSync, readFileSync, readlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { isKind } from '../../src/errors/error.ts';
import { mountAll, unmountAll } from '../../src/sys/mount.ts';
import { fsckErofs, layerMount } from '../kit/layer-files.ts';
import { dir, file, hardlink, symlink, type TarMember, tar } from '../kit/tar-builder.ts';
import { applyTar, makeSandbox, type Sandbox, upperMount } from './sandbox.ts';

/**
 * The extraction matrix of security.md §1.7 (the cases of containerd's TestBreakouts by name; CVE-2014-6407,
 * CVE-2014-9357, CVE-2025-11395), over an empty directory, one that has files, and an overlay's
 * upperdir, and as a layer file. Whatever the outcome, the host beside the target must not change.
 */
interface Case {
  readonly members: (s: Sandbox) => (TarMember | Buffer)[];
  /** `invalid`: refused as invalid_argument; else what must be in the target: path ▶ content, or a check. */
  readonly outcome: 'invalid' | Readonly<Record<string, string | ((path: string) => void)>>;
}

const isLink = (path: string) => assert.ok(lstatSync(path).isSymbolicLink());
const isDirectory = (path: string) => assert.ok(lstatSync(path).isDirectory());
const isFile = (path: string) => assert.ok(lstatSync(path).isFile());
const isAbsent = (path: string) => assert.throws(() => lstatSync(path), { code: 'ENOENT' });
const chain = (length: number) => Array.from({ length }, (_, i) => symlink(`l${i}`, `l${i + 1}`));
const up = '../../../../../../../../../..';

const cases: Record<string, Case> = {
  SymlinkAbsolute: {
    members: ({ host }) => [symlink('link', host), file('link/new', 'in')],
    outcome: { link: isLink },
  },
  SymlinkUpAndOut: {
    members: () => [symlink('link', '../host'), file('link/new', 'in')],
    outcome: { link: isLink, 'host/new': 'in' },
  },
  SymlinkDeepUpAndOut: {
    members: ({ host }) => [symlink('link', `${up}${host}`), file('link/new', 'in')],
    outcome: { link: isLink },
  },
  SymlinkMultiple: {
    members: () => [symlink('a', 'b'), symlink('b', '../host'), file('a/new', 'in')],
    outcome: { 'host/new': 'in' },
  },
  SymlinkTarget: {
    members: ({ host }) => [symlink('link', join(host, 'sentinel')), file('link', 'own')],
    outcome: { link: 'own' },
  },
  SymlinkChainAtLimit: {
    members: () => [...chain(40), file('l0/x', 'in')],
    outcome: { 'l40/x': 'in' },
  },
  SymlinkChain: { members: () => [...chain(41), file('l0/x', 'in')], outcome: 'invalid' },
  SymlinkLoop: {
    members: () => [symlink('a', 'b'), symlink('b', 'a'), file('a/x', 'in')],
    outcome: 'invalid',
  },
  SymlinkToSelf: { members: () => [symlink('a', 'a'), file('a/x')], outcome: 'invalid' },
  SymlinkDotDot: {
    members: () => [symlink('up', '..'), file('up/new', 'in')],
    outcome: { new: 'in' },
  },
  NameUpAndOut: { members: () => [file('../host/sentinel', 'bad')], outcome: 'invalid' },
  NameDeepUpAndOut: { members: () => [file('a/../../host/sentinel', 'bad')], outcome: 'invalid' },
  NameInside: { members: () => [dir('a'), file('a/../b', 'in')], outcome: { b: 'in' } },
  NameAbsolute: {
    members: () => [file('/etc/berth-breakout', 'in')],
    outcome: { 'etc/berth-breakout': 'in' },
  },
  NameSlashes: { members: () => [file('//a//./b', 'in')], outcome: { 'a/b': 'in' } },
  EmptyFile: { members: () => [file('empty', '')], outcome: { empty: '' } },
  EmptyFilename: { members: () => [file('', 'x'), file('after', 'in')], outcome: { after: 'in' } },
  RootMembers: { members: () => [dir('./'), dir('/'), file('after', 'in')], outcome: { after: 'in' } },
  HardlinkRelative: { members: () => [hardlink('h', '../host/sentinel')], outcome: 'invalid' },
  HardlinkDownAndOut: { members: () => [hardlink('h', 'a/../../host/sentinel')], outcome: 'invalid' },
  HardlinkAbsolute: { members: ({ host }) => [hardlink('h', join(host, 'sentinel'))], outcome: 'invalid' },
  HardlinkInsideAbsolute: {
    members: () => [file('etc/f', 'in'), hardlink('h', '/etc/f')],
    outcome: { h: 'in' },
  },
  HardlinkDirectRelative: {
    members: () => [symlink('out', '../host'), hardlink('h', 'out/sentinel')],
    outcome: 'invalid',
  },
  HardlinkDirectAbsolute: {
    members: ({ host }) => [symlink('out', host), hardlink('h', 'out/sentinel')],
    outcome: 'invalid',
  },
  HardlinkSymlinkRelative: {
    members: () => [symlink('s', '../host/sentinel'), hardlink('h', 's'), file('h', 'own')],
    outcome: { h: 'own', s: isLink },
  },
  HardlinkSymlinkAbsolute: {
    members: ({ host }) => [symlink('s', join(host, 'sentinel')), hardlink('h', 's'), file('h/x', 'own')],
    outcome: { s: isLink, h: isLink },
  },
  'HardlinkChmod (CVE-2021-32760)': {
    members: ({ host }) => [
      symlink('s', join(host, 'sentinel')),
      hardlink('h', 's', { mode: 0o4777, uid: 7 }),
    ],
    outcome: { h: isLink },
  },
  HardlinkToDirectory: { members: () => [dir('d'), hardlink('h', 'd')], outcome: 'invalid' },
  HardlinkToRoot: { members: () => [hardlink('h', '/')], outcome: 'invalid' },
  HardlinkToItself: { members: () => [file('h', 'x'), hardlink('h', './h')], outcome: 'invalid' },
  HardlinkIntoReplaced: { members: () => [file('d/f', 'x'), hardlink('d', 'd/f')], outcome: 'invalid' },
  HardlinkTwice: {
    members: () => [file('a', 'x'), hardlink('b', 'a'), hardlink('b', 'a')],
    outcome: { a: 'x', b: 'x' },
  },
  SymlinkParentDirectory: {
    members: ({ host }) => [symlink('dir', host), dir('dir'), file('dir/sentinel', 'own')],
    outcome: { dir: isDirectory, 'dir/sentinel': 'own' },
  },
  SymlinkParentDangling: {
    members: () => [symlink('a', 'b/c'), file('a/x', 'in')],
    outcome: { 'b/c/x': 'in', a: isLink },
  },
  SymlinkParentDanglingOutside: {
    members: ({ host }) => [symlink('a', `${host}/new`), file('a/x', 'in')],
    outcome: { a: isLink },
  },
  OverrideDirectory: {
    members: () => [dir('d'), file('d/x'), file('d', 'now a file')],
    outcome: { d: 'now a file' },
  },
  OverrideWithSymlink: {
    members: ({ host }) => [file('d/x'), symlink('d', host), file('d/x', 'in')],
    outcome: { d: isLink },
  },
  DirectoryOverrideSymlink: {
    members: () => [dir('real'), symlink('d', 'real'), dir('d'), file('d/x', 'in')],
    outcome: { d: isDirectory, 'd/x': 'in', 'real/x': isAbsent },
  },
  ParentIsFile: { members: () => [file('f'), file('f/x')], outcome: 'invalid' },
  DuplicateLastWins: { members: () => [file('a', '1'), file('a', '2'), file('a', '3')], outcome: { a: '3' } },
  CaseCollision: { members: () => [file('Name', '1'), file('name', '2')], outcome: { Name: '1', name: '2' } },
  NormalizationPair: {
    members: () => [symlink('caf\u00e9', '../host'), dir('cafe\u0301'), file('cafe\u0301/x', 'in')],
    outcome: { 'cafe\u0301/x': 'in' },
  },
  NameTooLong: { members: () => [file('x', '', { pax: { path: 'n'.repeat(256) } })], outcome: 'invalid' },
  NameAtLimit: {
    members: () => [file('x', 'in', { pax: { path: 'n'.repeat(255) } })],
    outcome: { ['n'.repeat(255)]: 'in' },
  },
  DeepPath: {
    members: () => [file('x', 'in', { pax: { path: `${'d/'.repeat(1900)}f` } })],
    outcome: { ['d/'.repeat(100)]: isDirectory },
  },
  'DeviceZero (overlay whiteout smuggling)': {
    members: () => [{ name: 'w', flag: '3', major: 0, minor: 0 }],
    outcome: 'invalid',
  },
  WhiteoutRootParent: { members: () => [file('.wh...')], outcome: 'invalid' },
  WhiteoutParent: { members: () => [file('a/.wh...')], outcome: 'invalid' },
  WhiteoutRoot: { members: () => [file('.wh..')], outcome: 'invalid' },
  WhiteoutCurrentDirectory: { members: () => [file('a/.wh..')], outcome: 'invalid' },
  WhiteoutEmpty: { members: () => [file('.wh.')], outcome: 'invalid' },
  WhiteoutDirectoryName: { members: () => [dir('.wh./')], outcome: 'invalid' },
  WhiteoutBelowWhiteout: { members: () => [file('.wh.a/b')], outcome: 'invalid' },
  WhiteoutSymlink: {
    members: ({ host }) => [symlink('s', join(host, 'dir')), file('.wh.s')],
    outcome: { s: isLink },
  },
  WhiteoutSymlinkPath: {
    members: ({ host }) => [symlink('s', host), file('s/.wh.sentinel'), file('s/.wh.dir')],
    outcome: { s: isLink },
  },
  WhiteoutRelativePath: { members: () => [file('d/../../host/.wh.sentinel')], outcome: 'invalid' },
  WhiteoutDeadSymlinkParent: {
    members: () => [symlink('s', '../host/nowhere'), file('s/.wh.x')],
    outcome: { s: isLink },
  },
  WhiteoutOpaqueThroughSymlink: {
    members: ({ host }) => [symlink('s', host), file('s/.wh..wh..opq')],
    outcome: { s: isLink },
  },
  'WhiteoutMeta (.wh..wh.plnk)': {
    members: () => [dir('.wh..wh.plnk'), file('.wh..wh.plnk/1.2'), file('.wh..wh.aufs'), file('after', 'in')],
    outcome: { after: 'in', '.wh..wh.plnk': isAbsent, '.wh.plnk': isAbsent },
  },
  WhiteoutOfOwnFile: { members: () => [file('f', 'own'), file('.wh.f')], outcome: { f: 'own' } },
  WhiteoutBeforeOwnFile: { members: () => [file('.wh.f'), file('f', 'own')], outcome: { f: 'own' } },
  WhiteoutBeforeOwnDirectory: {
    members: () => [file('.wh.d'), dir('d'), file('d/x', 'own')],
    outcome: { 'd/x': 'own' },
  },
  WhiteoutOfOwnDirectory: { members: () => [file('d/x', 'own'), file('.wh.d')], outcome: { 'd/x': 'own' } },
  OverrideSymlinkInDirectory: {
    members: () => [symlink('d/l', 'x'), file('d/l', 'own'), dir('d/e'), file('d/e', 'own too')],
    outcome: { 'd/l': 'own', 'd/e': 'own too' },
  },
  OrdinaryFiles: {
    members: () => [dir('d'), file('d/f', 'data'), symlink('d/l', 'f'), hardlink('d/h', 'd/f')],
    outcome: { 'd/f': 'data', 'd/l': isLink, 'd/h': 'data' },
  },
};

const targets = {
  'an empty directory': (s: Sandbox) => ({ directory: s.target }),
  'a directory with files': (s: Sandbox) => {
    mkdirSync(join(s.target, 'before'));
    writeFileSync(join(s.target, 'before/file'), 'from before');
    return { directory: s.target };
  },
  'an upperdir': (s: Sandbox) => upperMount(s.target),
  'a layer file': (s: Sandbox) => ({ layerFile: layerFileOf(s) }),
};

const layerFileOf = (s: Sandbox) => join(s.target, 'layer');

/** What is to be looked at in the target: a layer file is mounted over it. */
async function shown(place: string, s: Sandbox): Promise<AsyncDisposable> {
  if (place !== 'a layer file') return { [Symbol.asyncDispose]: async () => {} };
  fsckErofs(layerFileOf(s));
  await mountAll(layerMount(layerFileOf(s)), s.target);
  return { [Symbol.asyncDispose]: async () => void (await unmountAll(s.target)) };
}

const keepsLateLinks = (place: string) => place === 'an upperdir' || place === 'a layer file';

/** In a layer that goes onto others a link to nothing may be one to a lower layer, so it is told apart and not refused. */
const isLateLink = (name: string) => /^Hardlink(Absolute|Direct.*|IntoReplaced)$/.test(name);

for (const [place, targetIn] of Object.entries(targets))
  describe(`into ${place}`, () => {
    for (const [name, { members, outcome }] of Object.entries(cases))
      test(name, async () => {
        using sandbox = makeSandbox();
        const to = targetIn(sandbox);
        const applied = applyTar(tar(...members(sandbox)), to);
        if (outcome === 'invalid' && keepsLateLinks(place) && isLateLink(name))
          assert.equal((await applied).unfinished?.links.length, 1);
        else if (outcome === 'invalid')
          await assert.rejects(applied, (error) => isKind(error, 'invalid_argument'));
        else {
          await applied;
          await using _ = await shown(place, sandbox);
          for (const [path, expected] of Object.entries(outcome)) {
            if (typeof expected === 'function') expected(join(sandbox.target, path));
            else assert.equal(readFileSync(join(sandbox.target, path), 'utf8'), expected);
          }
        }
        sandbox.assertHostUnchanged();
      });
  });

test('a link out of the target is kept as it is', async () => {
  using sandbox = makeSandbox();
  await applyTar(tar(symlink('l', '/etc/passwd')), { directory: sandbox.target });
  assert.equal(readlinkSync(join(sandbox.target, 'l')), '/etc/passwd');
  isFile('/etc/passwd');
});

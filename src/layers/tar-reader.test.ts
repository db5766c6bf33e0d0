import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import {
  base256,
  dir,
  file,
  gnuLong,
  hardlink,
  member,
  paxHeader,
  symlink,
  type TarMember,
  tar,
  withChecksum,
} from '../../test/kit/tar-builder.ts';
import { isKind } from '../errors/error.ts';
import type { TarEntry } from './tar-entry.ts';
import { TarReader } from './tar-reader.ts';

type Read = TarEntry & { content: Buffer };

function read(archive: Buffer, step = archive.length || 1): Read[] {
  const entries: Read[] = [];
  let content = Buffer.alloc(0);
  const reader = new TarReader({
    entry(entry) {
      content = Buffer.alloc(entry.sizeBytes);
      entries.push({ ...entry, content });
    },
    data: (chunk, offset) => void (entries.at(-1)?.type === 'file' && chunk.copy(content, offset)),
    end() {},
  });
  for (let at = 0; at < archive.length; at += step) reader.push(archive.subarray(at, at + step));
  reader.finish();
  return entries;
}

const one = (archive: Buffer): Read => {
  const [entry, more] = read(archive);
  assert.ok(entry !== undefined && more === undefined);
  return entry;
};

test('reads the same members whatever the size of the chunks', () => {
  const archive = tar(
    dir('d/'),
    file('d/a', 'hello'),
    symlink('d/l', 'a'),
    hardlink('d/h', 'd/a'),
    { name: 'd/pipe', flag: '6', mode: 0o600 },
    { name: 'd/dev', flag: '3', major: 1, minor: 3, mode: 0o666 },
    file('p', 'x'.repeat(1000), { pax: { path: 'long/'.repeat(40), mtime: '1.5' } }),
    { ...file('q', 'y'), pax: { path: 'd/q' } },
  );
  const whole = read(archive);
  for (const step of [1, 7, 511, 512, 513, 4096]) assert.deepEqual(read(archive, step), whole);
  assert.deepEqual(
    whole.map(({ type }) => type),
    ['directory', 'file', 'symlink', 'hardlink', 'fifo', 'char', 'directory', 'file'],
  );
  assert.equal(whole[1]?.content.toString(), 'hello');
});

test('names are kept byte for byte', () => {
  const name = Buffer.from([0x63, 0x61, 0x66, 0xe9, 0xff, 0x0a]);
  assert.equal(one(tar({ name })).name, name.toString('latin1'));
  assert.equal(one(tar({ pax: { path: name } })).name, name.toString('latin1'));
  assert.equal(one(tar(gnuLong('L', name), { magic: 'gnu' })).name, name.toString('latin1'));
});

test('CVE-2021-37701, CVE-2026-59873: PAX beats GNU long names, which beat the header, and each concerns one member only', () => {
  const archive = tar(gnuLong('L', 'gnu'), paxHeader({ path: 'pax' }), file('old'), file('next'));
  assert.deepEqual(
    read(archive).map(({ name }) => name),
    ['pax', 'next'],
  );
});

test('an extension in front of another extension applies to the member (CVE-2025-62518)', () => {
  const archive = tar(
    paxHeader({ size: '3' }),
    gnuLong('L', 'named'),
    file('x', 'abc', { size: 0 }),
    file('last'),
  );
  assert.deepEqual(
    read(archive).map(({ name, sizeBytes }) => [name, sizeBytes]),
    [
      ['named', 3],
      ['last', 0],
    ],
  );
});

test('times have nanoseconds and may lie before 1970 or after 9999', () => {
  const timeOf = (mtime: string) => one(tar(file('a', '', { pax: { mtime } }))).mtime;
  assert.deepEqual(timeOf('1.000000001999'), { seconds: 1, nanoseconds: 1 });
  assert.deepEqual(timeOf('-1.25'), { seconds: -2, nanoseconds: 750_000_000 });
  assert.deepEqual(timeOf('253402300800'), { seconds: 253402300800, nanoseconds: 0 });
  assert.equal(one(tar(file('a', '', { mtime: -5 }))).mtime.seconds, -5);
});

test('owners up to 2^32-2 are read from base-256 and PAX', () => {
  assert.equal(one(tar(file('a', '', { uid: 4294967294 }))).uid, 4294967294);
  assert.equal(one(tar(file('a', '', { pax: { gid: '4294967294' } }))).gid, 4294967294);
});

test('xattrs come from SCHILY and LIBARCHIVE records', () => {
  const value = Buffer.from([0, 1, 0x0a, 0xff]);
  const { xattrs } = one(
    tar(
      file('a', '', {
        pax: {
          'SCHILY.xattr.user.raw': value,
          'LIBARCHIVE.xattr.user%2Eenc': Buffer.from(value.toString('base64')),
          'LIBARCHIVE.xattr.user.raw': 'AAAA',
        },
      }),
    ),
  );
  assert.deepEqual(
    [...xattrs],
    [
      ['user.raw', value],
      ['user.enc', value],
    ],
  );
});

describe('sparse files', () => {
  const runs = [
    [512, 3],
    [4096, 2],
  ] as const;
  const expected = Buffer.alloc(8192);
  expected.write('abc', 512);
  expected.write('de', 4096);
  const map = runs.flat().join(',');
  const mapText = Buffer.alloc(512);
  mapText.write(`2\n${runs.flat().join('\n')}\n`);
  const variants: Record<string, Buffer> = {
    'old GNU': tar({
      name: 's',
      flag: 'S',
      magic: 'gnu',
      data: 'abcde',
      patch(block) {
        runs.flat().forEach((n, i) => void block.write(`${n.toString(8).padStart(11, '0')}\0`, 386 + 12 * i));
        block.write(`${(8192).toString(8).padStart(11, '0')}\0`, 483);
      },
    }),
    'PAX 0.0': tar(
      member({
        name: 'pax',
        flag: 'x',
        data: [
          'GNU.sparse.size=8192',
          'GNU.sparse.numblocks=2',
          ...runs.flatMap(([o, n]) => [`GNU.sparse.offset=${o}`, `GNU.sparse.numbytes=${n}`]),
        ]
          .map((text) => `${String(text.length + 4).padStart(2, '0')} ${text}\n`)
          .join(''),
      }),
      file('s', 'abcde'),
    ),
    'PAX 0.1': tar(
      file('GNUSparseFile.1/s', 'abcde', {
        pax: {
          'GNU.sparse.size': '8192',
          'GNU.sparse.numblocks': '2',
          'GNU.sparse.map': map,
          'GNU.sparse.name': 's',
        },
      }),
    ),
    'PAX 1.0': tar(
      file('GNUSparseFile.1/s', Buffer.concat([mapText, Buffer.from('abcde')]), {
        pax: {
          'GNU.sparse.major': '1',
          'GNU.sparse.minor': '0',
          'GNU.sparse.realsize': '8192',
          'GNU.sparse.name': 's',
        },
      }),
    ),
  };
  for (const [format, archive] of Object.entries(variants))
    test(`of format ${format} are read with their holes`, () => {
      for (const step of [archive.length, 100]) {
        const [entry] = read(archive, step);
        assert.equal(entry?.name, 's');
        assert.deepEqual(
          entry.sparse,
          runs.map(([offset, length]) => ({ offset, length })),
        );
        assert.deepEqual(entry.content, expected);
      }
    });
});

test('what follows two zero blocks is ignored', () => {
  assert.equal(read(Buffer.concat([tar(file('a')), tar(file('b'))])).length, 1);
});

test('an archive may end without zero blocks', () => {
  assert.equal(read(member(file('a', 'data'))).length, 1);
  assert.equal(read(Buffer.alloc(0)).length, 0);
});

test('a PAX global header is passed over', () => {
  const archive = tar(paxHeader({ comment: 'abc', uid: '7' }, 'g'), file('a'));
  assert.equal(one(archive).uid, 0);
});

const sparse01 = (map: string, blocks: string, size = '8192'): TarMember =>
  file('s', 'abcde', {
    pax: { 'GNU.sparse.size': size, 'GNU.sparse.numblocks': blocks, 'GNU.sparse.map': map },
  });
const cut = (archive: Buffer, bytes: number) => archive.subarray(0, bytes);

describe('refuses as invalid', () => {
  const hostile: Record<string, () => Buffer> = {
    'a wrong checksum': () => tar(member(file('a')).fill('x', 0, 1)),
    'a negative base-256 size (node-tar CVE-2026-59873 class)': () =>
      tar(file('a', '', { patch: (b) => void base256(-1n, 12).copy(b, 124) })),
    'a base-256 size beyond 2^53': () =>
      tar(file('a', '', { patch: (b) => void base256(1n << 60n, 12).copy(b, 124) })),
    'a size that is no number': () => tar(file('a', '', { patch: (b) => void b.write('12x45678901', 124) })),
    'a uid of 2^32-1': () => tar(file('a', '', { uid: 4294967295 })),
    'a negative gid': () => tar(file('a', '', { gid: -2 })),
    'PAX size that is no number': () => tar(file('a', '', { pax: { size: 'abc' } })),
    'PAX size 1e3': () => tar(file('a', '', { pax: { size: '1e3' } })),
    'PAX size 0x10': () => tar(file('a', '', { pax: { size: '0x10' } })),
    'PAX size -1': () => tar(file('a', '', { pax: { size: '-1' } })),
    'PAX path with a NUL': () => tar(file('a', '', { pax: { path: 'a\0b' } })),
    'PAX linkpath with a NUL': () => tar(symlink('a', 'b', { pax: { linkpath: 'a\0b' } })),
    'PAX mtime NaN': () => tar(file('a', '', { pax: { mtime: 'NaN' } })),
    'a PAX record longer than its header': () => tar(member({ flag: 'x', data: '99 path=abc\n' }), file('a')),
    'a PAX record shorter than it says': () => tar(member({ flag: 'x', data: '5 path=abc\n' }), file('a')),
    'a PAX record without a newline': () => tar(member({ flag: 'x', data: '11 path=abcX' }), file('a')),
    'a PAX record without a key': () => tar(member({ flag: 'x', data: '6 =abc\n' }), file('a')),
    'a PAX record without a length': () => tar(member({ flag: 'x', data: 'path=abc\n' }), file('a')),
    'a PAX record of length 0 (endless loop)': () => tar(member({ flag: 'x', data: '0 a=b\n' }), file('a')),
    'a malformed PAX global header': () => tar(member({ flag: 'g', data: '99 a=b\n' }), file('a')),
    'PAX headers of 1 GiB': () => tar(member({ flag: 'x', size: 2 ** 30 })),
    'a GNU long name of 1 GiB': () => tar(member({ flag: 'L', magic: 'gnu', size: 2 ** 30 })),
    'a name longer than PATH_MAX': () => tar(file('a', '', { pax: { path: 'a/'.repeat(2100) } })),
    'a path a million levels deep': () => tar(file('a', '', { pax: { path: 'a/'.repeat(500_000) } })),
    'an unknown type': () => tar({ name: 'a', flag: 'D' }),
    'a type called after a property of Object': () => tar({ name: 'a', flag: '_' }),
    'one zero block in the middle': () => tar(member(file('a')), Buffer.alloc(512), file('b')),
    'an end inside a header': () => cut(tar(file('a', 'data')), 300),
    'an end inside data': () => cut(tar(file('a', 'x'.repeat(600))), 700),
    'an end after a PAX header': () => paxHeader({ path: 'a' }),
    'sparse runs that overlap': () => tar(sparse01('0,3,2,2', '2')),
    'sparse runs past the end': () => tar(sparse01('0,3,9000,2', '2')),
    'sparse runs that do not add up': () => tar(sparse01('0,3,512,9', '2')),
    'a sparse map of odd length': () => tar(sparse01('0,3,512', '2')),
    'a sparse map that is no list': () => tar(sparse01('x,y', '1')),
    'a sparse count that is no number': () => tar(sparse01('0,5', 'NaN')),
    'an unknown sparse format': () =>
      tar(file('a', '', { pax: { 'GNU.sparse.major': '2', 'GNU.sparse.minor': '0' } })),
    'random bytes': () => withChecksum(Buffer.alloc(512, 0xa5)),
  };
  for (const [what, make] of Object.entries(hostile))
    test(what, () => {
      assert.throws(
        () => read(make()),
        (error) => isKind(error, 'invalid_argument'),
      );
      assert.throws(
        () => read(make(), 100),
        (error) => isKind(error, 'invalid_argument'),
      );
    });
});

test('CVE-2017-14992, CVE-2025-58183: a sparse map of a million runs is refused before it takes memory', () => {
  const runs = 1_000_000;
  const body = Buffer.from(`${runs}\n${'0\n0\n'.repeat(runs)}`);
  const archive = tar(
    file('s', body, {
      pax: { 'GNU.sparse.major': '1', 'GNU.sparse.minor': '0', 'GNU.sparse.realsize': '5' },
    }),
  );
  assert.throws(() => read(archive), /sparse map is too large/);
});

test('an archive that stops in or before the padding of its last member is whole, as umoci insert writes them', () => {
  for (const bytes of [513, 700]) assert.equal(read(cut(tar(file('a', 'x')), bytes)).length, 1);
});

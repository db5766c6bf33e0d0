import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { TarEntry } from '../tar-entry.ts';
import { TarReader } from '../tar-reader.ts';
import { type Member, memberHeader } from './member-header.ts';

function readBack(member: Member): TarEntry | undefined {
  let read: TarEntry | undefined;
  const reader = new TarReader({ entry: (entry) => (read = entry), data() {}, end() {} });
  reader.push(Buffer.concat([memberHeader(member), Buffer.alloc(1024)]));
  reader.finish();
  return read;
}

const plain: Member = {
  name: 'd/f',
  flag: '0',
  mode: 0o4755,
  uid: 1,
  gid: 2,
  sizeBytes: 0,
  mtimeNs: 1_700_000_000_000_000_000n,
};

test('what ustar can say is one block', () => {
  assert.equal(memberHeader(plain).length, 512);
  assert.deepEqual(memberHeader(plain), memberHeader({ ...plain }));
});

const odd: Readonly<Record<string, Partial<Member>>> = {
  'a name of 100 bytes': { name: 'n'.repeat(100) },
  'a name that needs the prefix': { name: `${'p'.repeat(150)}/${'n'.repeat(100)}` },
  'a name that fits nowhere': { name: `${'p'.repeat(200)}/${'n'.repeat(255)}` },
  'a deep name': { name: 'dir/'.repeat(500).slice(0, -1) },
  'bytes that are no text': { name: '\xff\xfe/\x80' },
  'a long link': { flag: '2', linkName: 't'.repeat(4000) },
  'the largest owner': { uid: 4_294_967_294, gid: 2_097_152 },
  'a time before 1970': { mtimeNs: -1n },
  'a time after 2242 with nanoseconds': { mtimeNs: 9_000_000_000_123_456_789n },
  'a device': { flag: '4', deviceMajor: 4095, deviceMinor: 1_048_575 },
  'an xattr with any bytes': { records: [['SCHILY.xattr.user.x', '\x00=\n\xff']] },
};
for (const [what, changes] of Object.entries(odd)) {
  test(`${what} reads back as it was written`, () => {
    const wanted = { ...plain, ...changes };
    const read = readBack(wanted);
    assert.equal(read?.name, wanted.name);
    assert.equal(read?.linkName, wanted.linkName ?? '');
    assert.deepEqual([read?.uid, read?.gid, read?.mode], [wanted.uid, wanted.gid, wanted.mode]);
    assert.equal(
      BigInt(read?.mtime.seconds ?? 0) * 1_000_000_000n + BigInt(read?.mtime.nanoseconds ?? 0),
      wanted.mtimeNs,
    );
    assert.deepEqual(
      [read?.deviceMajor, read?.deviceMinor],
      [wanted.deviceMajor ?? 0, wanted.deviceMinor ?? 0],
    );
    assert.equal(read?.xattrs.get('user.x')?.toString('latin1'), changes.records?.[0]?.[1]);
  });
}

test('a size above 8 GiB is told in a PAX record', () => {
  assert.match(
    memberHeader({ ...plain, sizeBytes: 10 * 2 ** 30 }).toString('latin1'),
    /20 size=10737418240\n/,
  );
});

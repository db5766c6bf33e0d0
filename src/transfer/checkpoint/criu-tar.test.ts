import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { isKind } from '../../errors/error.ts';
import { type Member, memberHeader, padding } from '../../layers/diff/member-header.ts';
import { unpackCriuTar } from './criu-tar.ts';

const dir = mkdtempSync(join(tmpdir(), 'berth-criu-'));
after(() => rmSync(dir, { recursive: true }));

const bytes = Buffer.from('image');
async function* tarOf(...members: (Partial<Member> & { name: string })[]): AsyncGenerator<Uint8Array> {
  const common = { flag: '0', mode: 0o644, uid: 0, gid: 0, mtimeNs: 0n };
  for (const member of members) {
    const sizeBytes = (member.flag ?? '0') === '0' ? bytes.length : 0;
    yield memberHeader({ ...common, sizeBytes, ...member });
    if (sizeBytes > 0) yield Buffer.concat([bytes, padding(sizeBytes)]);
  }
  yield Buffer.alloc(1024);
}

test('plain files come out, whatever directory they are said to be in at the top', async () => {
  const to = join(dir, 'plain');
  await unpackCriuTar(
    tarOf({ name: './', flag: '5' }, { name: 'pages-1.img' }, { name: './core-1.img' }),
    to,
  );
  assert.deepEqual(readdirSync(to).sort(), ['core-1.img', 'pages-1.img']);
  assert.equal(readFileSync(join(to, 'core-1.img'), 'utf8'), 'image');
});

test('CVE-2026-53489: links, devices, FIFOs, directories and odd names are refused', async () => {
  const odd: (Partial<Member> & { name: string })[] = [
    { name: 'pages-1.img', flag: '2', linkName: '/etc/shadow' },
    { name: 'pages-1.img', flag: '1', linkName: '/etc/shadow' },
    { name: 'parent', flag: '2', linkName: '/' },
    { name: 'a', flag: '6' },
    { name: 'a', flag: '3', deviceMajor: 1, deviceMinor: 3 },
    { name: 'sub/', flag: '5' },
    { name: '../status' },
    { name: 'sub/a' },
    { name: '/abs' },
    { name: '.hidden' },
    { name: 'x'.repeat(200) },
  ];
  for (const [i, member] of odd.entries())
    await assert.rejects(unpackCriuTar(tarOf(member), join(dir, `odd-${i}`)), (e) =>
      isKind(e, 'invalid_argument'),
    );
  assert.ok(!existsSync(join(dir, 'status')));
  await assert.rejects(unpackCriuTar(tarOf({ name: 'a' }, { name: 'a' }), join(dir, 'twice')), /EEXIST/);
});

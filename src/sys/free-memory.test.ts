import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { pristineMappings, returnFreeMemory } from './free-memory.ts';

const smaps = `00400000-0082e000 r--p 00000000 fe:00 5316813                            /opt/no de
Rss:                4280 kB
Anonymous:             0 kB
0082e000-03489000 r-xp 0042e000 fe:00 5316813                            /opt/no de
Anonymous:             0 kB
03489000-03500000 r--p 03089000 fe:00 5316813                            /opt/no de
Anonymous:            96 kB
03500000-03600000 rw-p 03100000 fe:00 5316813                            /opt/no de
Anonymous:             0 kB
03600000-03700000 r--s 03100000 fe:00 5316813                            /opt/no de
Anonymous:             0 kB
7f2aafdc0000-7f2aaffd5000 r-xp 01627000 fe:00 53                         /usr/lib/libc.so.6
Anonymous:             0 kB
7ffc00000000-7ffc00021000 r--p 00000000 00:00 0 
Anonymous:             0 kB
`;

test('only unwritten, private, read-only mappings of the program are dropped', () => {
  assert.deepEqual(pristineMappings(smaps, '/opt/no de'), [
    { start: 0x400000n, end: 0x82e000n },
    { start: 0x82e000n, end: 0x3489000n },
  ]);
  assert.deepEqual(pristineMappings(smaps, '/opt/other'), []);
});

test('giving memory back shrinks the process, which goes on as before', async () => {
  const residentKb = (): number =>
    Number(/^Rss:\s+(\d+)/m.exec(readFileSync('/proc/self/smaps_rollup', 'utf8'))?.[1]);
  const before = residentKb();
  await returnFreeMemory();
  assert.ok(residentKb() < before - 5_000, `${before} kB, then ${residentKb()} kB`);
  assert.equal(new URL('http://a/b').pathname, '/b');
});

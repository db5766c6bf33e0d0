import assert from 'node:assert/strict';
import { readFileSync, realpathSync } from 'node:fs';
import { release } from 'node:os';
import { test } from 'node:test';
import { dropProgramPages, pristineMappings } from './program-pages.ts';

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

test('only unwritten, private, read-only mappings of files are dropped', () => {
  assert.deepEqual(pristineMappings(smaps), [
    { start: 0x400000n, end: 0x82e000n },
    { start: 0x82e000n, end: 0x3489000n },
    { start: 0x7f2aafdc0000n, end: 0x7f2aaffd5000n },
  ]);
});

const entries = (): string[] =>
  readFileSync('/proc/self/smaps', 'latin1').split(/^(?=[0-9a-f]+-[0-9a-f]+ )/m);

test('the program goes on in the pages that it touches again', () => {
  const program = realpathSync('/proc/self/exe');
  const code = () => entries().find((entry) => / r-xp /.test(entry) && entry.includes(program)) ?? '';
  const residentKb = () => Number(/^Rss:\s+(\d+)/m.exec(code())?.[1]);
  const before = residentKb();
  dropProgramPages();
  assert.ok(residentKb() < before / 2, `${before} kB, then ${residentKb()} kB`);
  assert.equal(new URL('http://a/b').pathname, '/b');
  dropProgramPages();
  const [major = 0, minor = 0] = release().split('.').map(Number);
  if (major > 6 || (major === 6 && minor >= 7)) assert.match(code(), /^VmFlags:.* uw\b/m);
});

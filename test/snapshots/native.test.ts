import assert from 'node:assert/strict';
import {
  chownSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { copyTree } from '../../src/snapshots/native/copy-tree.ts';
import { openNativeDriver } from '../../src/snapshots/native/driver.ts';
import { snapshotterSuite } from '../../src/snapshots/snapshotter.suite.ts';
import { AT_FDCWD, S_IFCHR, S_IFIFO } from '../../src/sys/constants.ts';
import { chmodAt, mknodAt } from '../../src/sys/files.ts';
import { setXattr } from '../../src/sys/xattr.ts';
import { output } from '../kit/run.ts';
import { compareTrees, readTree } from '../kit/tree.ts';
import { openRecords } from './records.ts';

const scratch = process.env.BERTH_TEST_SCRATCH ?? '/var/tmp';

snapshotterSuite('native', async () => {
  const directory = mkdtempSync(join(scratch, 'berth-native-'));
  const records = await openRecords(directory, await openNativeDriver(join(directory, 'native')));
  return {
    ...records,
    copies: true,
    async [Symbol.asyncDispose]() {
      await records[Symbol.asyncDispose]();
      rmSync(directory, { recursive: true });
    },
  };
});

/** Everything a copy can get wrong. */
function fill(root: string): void {
  mkdirSync(join(root, 'd/e'), { recursive: true });
  writeFileSync(join(root, 'd/small'), 'x');
  writeFileSync(join(root, 'd/large'), Buffer.alloc(1 << 20, 'y'));
  linkSync(join(root, 'd/small'), join(root, 'again'));
  symlinkSync('/etc/passwd', join(root, 'd/link'));
  mknodAt(AT_FDCWD, join(root, 'null'), S_IFCHR | 0o666, 1, 3);
  mknodAt(AT_FDCWD, join(root, 'fifo'), S_IFIFO | 0o600);
  writeFileSync(
    Buffer.concat([Buffer.from(`${root}/`), Buffer.from([0xff, 0xfe])]),
    'a name that is not UTF-8',
  );
  chownSync(join(root, 'd/small'), 1000, 1001);
  chmodAt(AT_FDCWD, join(root, 'd/small'), 0o6751);
  setXattr(
    join(root, 'd/small'),
    'security.capability',
    Buffer.from('AQAAAgAgAAAAAAAAAAAAAAAAAAA=', 'base64'),
  );
  setXattr(join(root, 'd/e'), 'user.x', Buffer.from('y'));
  chmodAt(AT_FDCWD, join(root, 'd/e'), 0o2770);
  utimesSync(join(root, 'd'), 1, 2.5);
}

test('a copy is the same in every respect', async () => {
  const directory = mkdtempSync(join(scratch, 'berth-native-'));
  const [from, to] = [join(directory, 'from'), join(directory, 'to')];
  for (const path of [from, to]) mkdirSync(path);
  fill(from);
  chmodAt(AT_FDCWD, from, 0o1777);
  await copyTree(from, to);
  assert.deepEqual(compareTrees(readTree(to), readTree(from)), []);
  const root = (path: string) => output('stat', ['-c', '%a %u %g %Y', path]);
  assert.equal(await root(to), await root(from));
  rmSync(directory, { recursive: true });
});

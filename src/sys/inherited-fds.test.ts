import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { test } from 'node:test';

const module = join(import.meta.dirname, 'inherited-fds.ts');
const program = `
  import { execFileSync } from 'node:child_process';
  import { closeInheritedFds } from ${JSON.stringify(module)};
  const open = () => execFileSync('ls', ['/proc/self/fd'], { encoding: 'utf8' }).trim().split('\\n');
  const before = open();
  closeInheritedFds();
  console.log(JSON.stringify([before, open()]));
`;

test('CVE-2016-9962: descriptors left open by whoever started us do not reach our children', () => {
  const node = [process.execPath, '--input-type=module', '-e', program];
  const shown = execFileSync('bash', ['-c', 'exec 77</dev/null; exec "$@"', 'bash', ...node], {
    encoding: 'utf8',
  });
  const [before, after] = JSON.parse(shown) as [string[], string[]];
  assert.ok(before.includes('77'));
  // ls itself has the directory open.
  assert.deepEqual(after, ['0', '1', '2', '3']);
});

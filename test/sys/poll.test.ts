import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { top } from '../kit/paths.ts';
import { run } from '../kit/run.ts';

// A terminal took a second to make: what awaited the console socket went on only when the loop woke for another reason.
test('what awaits a polled descriptor goes on at once, on a loop where nothing else happens', async () => {
  const script = `
    import { pollReadable } from ${JSON.stringify(join(top, 'src/sys/ffi.ts'))};
    const ready = () => { const { promise, resolve } = Promise.withResolvers(); const poll = pollReadable(0, resolve); return promise.finally(() => poll[Symbol.dispose]()); };
    await ready();
    await ready();
    process.stdout.write('went on');
    process.exit(0);`;
  // The writer stays alive, so that the end of the pipe wakes nobody.
  const shell = 'exec 3>&1; (echo; exec sleep 20) | node --input-type=module -e "$SCRIPT" >&3 & wait $!';
  const { stdout } = await run('timeout', ['-s', 'KILL', '10', 'sh', '-c', shell], {
    env: { SCRIPT: script },
  });
  assert.equal(stdout, 'went on');
});

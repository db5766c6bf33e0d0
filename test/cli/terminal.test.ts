import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { Stage } from './stage.ts';

let stage: Stage;
let image: string;
before(async () => {
  stage = await Stage.open();
  image = stage.image;
  await stage.ok('pull', '-q', image);
});
after(() => stage[Symbol.asyncDispose]());

/** The shell's prompt; busybox then asks where the cursor is. */
const prompt = /\/ # /;
/** What stty says of a terminal that is as it was: lines are edited and echoed, Ctrl-C is a signal. */
const cooked = (text: string): boolean =>
  !/-icanon|-echo\b|-isig/.test(text.slice(text.lastIndexOf('speed')));

test('a shell in a terminal: input is echoed once, the size is right, the status comes through, the terminal is restored', async () => {
  await using screen = stage.terminal(
    `stty rows 33 cols 99; berth run --rm -it ${image} sh; echo status=$?; stty -a`,
  );
  await screen.see(prompt);
  screen.type('stty size; tty; echo a""b\n');
  await screen.see(/33 99/);
  await screen.see(/\/dev\/(?:pts\/0|console)/);
  await screen.see(/\nab\r/);
  screen.type('exit 7\n');
  const text = await screen.end();
  assert.match(text, /status=7/);
  assert.ok(cooked(text), text);
});

test('a program finds the size of its terminal from its first moment', async () => {
  await using screen = stage.terminal(`stty rows 31 cols 97; berth run --rm -it ${image} stty size`);
  assert.match(await screen.end(), /31 97/);
});

test('a new size of the terminal reaches the container', async () => {
  const line = `stty rows 20 cols 80; T=$(tty); (sleep 2; stty -F $T rows 41 cols 101) & berth run --rm -it ${image} sh; stty -a`;
  await using screen = stage.terminal(line);
  await screen.see(prompt);
  await sleep(2500);
  screen.type('stty size\n');
  await screen.see(/41 101/);
  screen.type('exit\n');
  await screen.end();
});

test('Ctrl-C belongs to the program in the container', async () => {
  await using screen = stage.terminal(
    `berth run --rm -it ${image} sh -c 'trap "echo caught; exit 8" INT; echo ready; while :; do sleep 0.1; done'; echo status=$?; stty -a`,
  );
  await screen.see(/ready/);
  screen.type('\x03');
  const text = await screen.end();
  assert.match(text, /caught/);
  assert.match(text, /status=8/);
  assert.ok(cooked(text), text);
});

test('the detach keys leave the container running; attach comes back to it', async () => {
  {
    await using screen = stage.terminal(`berth run --name keep -it ${image} sh; echo status=$?; stty -a`);
    await screen.see(prompt);
    screen.type('X=kept; echo se""t\n');
    await screen.see(/\nset/);
    screen.type('\x10\x11');
    const text = await screen.end();
    assert.match(text, /status=0/);
    assert.ok(cooked(text), text);
  }
  assert.match(await stage.ok('ps'), /Up .* keep$/m);
  await using screen = stage.terminal('berth attach keep; echo status=$?');
  await sleep(700);
  screen.type('echo [$X]; exit 3\n');
  await screen.see(/\[kept\]/);
  assert.match(await screen.end(), /status=3/);
  await stage.ok('rm', 'keep');
});

test('exec -it gives a terminal of its own', async () => {
  await stage.ok('run', '-d', '--name', 'host', image, 'sleep', '1000');
  await using screen = stage.terminal(
    `stty rows 30 cols 90; berth exec -it host sh; echo status=$?; stty -a`,
  );
  await screen.see(prompt);
  screen.type('stty size; exit 6\n');
  const text = await screen.end();
  assert.match(text, /30 90/);
  assert.match(text, /status=6/);
  assert.ok(cooked(text), text);
  await stage.ok('rm', '-f', 'host');
});

for (const signal of ['TERM', 'HUP', 'KILL'] as const) {
  test(`the terminal is restored when the command line gets SIG${signal}`, async () => {
    // Nothing can restore it after KILL but the shell, as for every program.
    const line = `berth run --rm --no-sig-proxy -it ${image} sh; echo status=$?; ${signal === 'KILL' ? 'stty sane;' : ''} stty -a`;
    await using screen = stage.terminal(`echo pid=$$; bash -c '${line.replaceAll("'", "'\\''")}'`);
    await screen.see(prompt);
    const pid = await pidOf('run --rm --no-sig-proxy -it');
    process.kill(pid, `SIG${signal}`);
    const text = await screen.end();
    assert.match(text, /status=(?:143|129|137)/);
    assert.ok(cooked(text), text);
    for (const id of (await stage.ok('ps', '-aq')).split('\n').filter((one) => one !== ''))
      await stage.ok('rm', '-f', id);
  });
}

test('kill -9 of the daemon: the session goes on, and afterwards the terminal is restored', async () => {
  await using screen = stage.terminal(`berth run --name orphan -it ${image} sh; echo status=$?; stty -a`);
  await screen.see(prompt);
  await stage.daemon.stop('SIGKILL');
  screen.type('echo still"" here\n');
  await screen.see(/\nstill here/);
  screen.type('exit 5\n');
  const text = await screen.end();
  assert.match(text, /the daemon went away, the exit status is unknown/);
  assert.match(text, /status=125/);
  assert.ok(cooked(text), text);
  await stage.daemon.start();
  await stage.ok('rm', '-f', 'orphan');
});

test('kill -9 of the daemon and its restart: the exit status still comes through', async () => {
  await using screen = stage.terminal(`berth run --rm -it ${image} sh; echo status=$?; stty -a`);
  await screen.see(prompt);
  await stage.daemon.restart('SIGKILL');
  // The client needs a moment to ask again; a container with --rm that ends before is gone with its status.
  await sleep(2500);
  screen.type('exit 5\n');
  const text = await screen.end();
  assert.match(text, /status=5/);
  assert.ok(cooked(text), text);
});

async function pidOf(part: string): Promise<number> {
  const { readdirSync, readFileSync } = await import('node:fs');
  for (const name of readdirSync('/proc').filter((one) => /^\d+$/.test(one))) {
    try {
      const words = readFileSync(`/proc/${name}/cmdline`, 'utf8').replaceAll('\0', ' ');
      const own = readFileSync(`/proc/${name}/environ`, 'utf8').includes(stage.daemon.address);
      if (own && words.includes(part) && /cli\/main/.test(words)) return Number(name);
    } catch {
      // It ended in between.
    }
  }
  throw new Error(`no process runs ${part}`);
}

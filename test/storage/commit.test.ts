import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { Stage } from '../cli/stage.ts';
import { violationsAtRest } from '../kit/checker.ts';
import { ctr2 } from '../kit/paths.ts';
import { output } from '../kit/run.ts';

let stage: Stage;
before(async () => {
  stage = await Stage.open();
  await stage.ok('pull', '-q', stage.image);
});
after(() => stage[Symbol.asyncDispose]());

test('commit makes an image that runs, with the files and the changes of the container', async () => {
  await stage.ok(
    'run',
    '-d',
    '--name',
    'made',
    stage.image,
    'sh',
    '-c',
    'echo new >/new; rm /etc/passwd; sleep 1000',
  );
  await stage.ok('exec', 'made', 'sh', '-c', 'until [ ! -e /etc/passwd ]; do :; done; ln /new /link');
  const changes = [
    'CMD ["sh", "-c", "cat /new /link; ls /etc; pwd; echo $V"]',
    'ENV V=1',
    'WORKDIR /root',
    'LABEL a=b',
    'EXPOSE 80',
  ];
  const digest = await stage.ok(
    'commit',
    '-m',
    'a message',
    '-a',
    'me',
    ...changes.flatMap((line) => ['-c', line]),
    'made',
    'mine:v1',
  );
  assert.match(digest, /^sha256:[0-9a-f]{64}$/);
  assert.match(await stage.ok('ps'), /Up .* made/, 'it goes on');
  const shown = await stage.ok('run', '--rm', 'mine:v1');
  assert.match(shown, /^new\nnew\n/);
  assert.doesNotMatch(shown, /passwd/);
  assert.match(shown, /\/root\n1$/);
  const [detail] = JSON.parse(await stage.ok('inspect', 'mine:v1'));
  assert.equal(JSON.stringify(detail).includes('80/tcp'), true);
  assert.match(JSON.stringify(detail), /"a":"b"/);
});

test('a committed image can be pushed, pulled and committed upon', async () => {
  const target = `${stage.registry.host}/mine:v1`;
  await stage.ok('tag', 'mine:v1', target);
  await stage.ok('push', target);
  await stage.ok('rm', '-f', 'made');
  await stage.ok('rmi', target, 'mine:v1');
  await stage.ok('pull', '-q', target);
  await stage.ok('run', '--name', 'again', target, 'sh', '-c', 'rm /link; echo second >>/new');
  await stage.ok('commit', 'again', 'mine:v2');
  assert.equal(
    await stage.ok(
      'run',
      '--rm',
      'mine:v2',
      'sh',
      '-c',
      'cat /new; ls /link 2>&1 | wc -l; ls /link 2>/dev/null | wc -l',
    ),
    'new\nsecond\n1\n0',
  );
  const inspect = ['--insecure-policy', 'inspect', '--raw', '--tls-verify=false', `docker://${target}`];
  const files = await output('skopeo', inspect);
  assert.equal(JSON.parse(files).layers.length, 2);
});

test('a container that changed nothing adds no layer, one of ctr and one whose image lost its name are fine', async () => {
  await stage.ok('run', '--name', 'same', stage.image, 'true');
  await stage.ok('commit', '-c', 'CMD ["echo", "hi"]', 'same', 'same:1');
  assert.equal(await stage.ok('run', '--rm', 'same:1'), 'hi');
  const C = `${ctr2} -a ${stage.daemon.address}`;
  await output('bash', ['-ec', `${C} run --rm=false --null-io ${stage.image} byctr sh -c 'echo x >/x'`], {
    cwd: stage.daemon.dir,
  });
  await stage.ok('tag', stage.image, 'kept');
  await stage.ok('rmi', '-f', stage.image);
  await stage.ok('commit', 'byctr', 'from-ctr');
  assert.equal(await stage.ok('run', '--rm', 'from-ctr', 'cat', '/x'), 'x');
});

test('what cannot be committed is told, and nothing is left', async () => {
  const fails = async (message: RegExp, ...args: string[]) => {
    const { status, stderr } = await stage.berth(['commit', ...args]);
    assert.equal(status, 1);
    assert.match(stderr, message);
  };
  await fails(/no container is called "nobody"/, 'nobody', 'x');
  await fails(/RUN/, '-c', 'RUN x', 'same', 'x');
  await fails(/lower-case repository name/, 'same', 'UPPER:x:y');
  await stage.ok('run', '--name', 'odd', 'kept', 'touch', '/.wh.odd');
  await fails(/\.wh\.odd.* cannot be in a layer/, 'odd', 'x');
  for (const name of ['same', 'odd', 'byctr', 'again']) await stage.ok('rm', '-f', name);
  assert.deepEqual(await violationsAtRest(stage.daemon.root, stage.daemon.state), []);
  assert.equal(
    execFileSync('sh', ['-c', `grep -c ${join(stage.daemon.state, 'tmp')} /proc/self/mountinfo || true`], {
      encoding: 'utf8',
    }).trim(),
    '0',
  );
});

import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { connect } from '../../src/client/index.ts';
import { output } from '../kit/run.ts';
import { program, Stage } from './stage.ts';

let stage: Stage;
before(async () => {
  stage = await Stage.open();
});
after(() => stage[Symbol.asyncDispose]());

test('pull shows lines when piped, the name last, and only the name with -q', async () => {
  const { status, stdout, stderr } = await stage.berth(['pull', stage.image]);
  assert.equal(status, 0, stderr);
  assert.match(stdout, /downloading/);
  assert.equal(stdout.includes('\x1b'), false);
  assert.equal(stdout.trim().split('\n').at(-1), stage.image);
  assert.equal(await stage.ok('pull', '-q', stage.image), stage.image);
  const pulled = JSON.parse(await stage.ok('pull', '--json', stage.image));
  assert.match(pulled.Digest, /^sha256:/);
});

test('pull on a terminal draws bars', async () => {
  await using screen = stage.terminal(`berth pull ${stage.image}`);
  const text = await screen.end();
  assert.match(text, new RegExp(`${stage.image.replaceAll('.', '\\.')}\\r?\\n`));
  assert.ok(text.includes('\x1b[?25h'), 'the cursor is shown again');
});

test('images, tag, inspect and rmi agree about an image', async () => {
  await stage.ok('pull', '-q', stage.image);
  await stage.ok('tag', stage.image, 'mine:v1');
  const [row] = (await stage.ok('images', 'mine', '--json')).split('\n').map((line) => JSON.parse(line));
  assert.deepEqual([row.Repository, row.Tag, row.Platform], ['mine', 'v1', 'linux/amd64']);
  assert.match(
    await stage.ok('images', 'mine'),
    /^REPOSITORY +TAG +IMAGE ID +CREATED +PLATFORM +SIZE\nmine +v1 +[0-9a-f]{12} /,
  );
  assert.equal(await stage.ok('images', '-q', 'mine'), row.ID);
  assert.equal(await stage.ok('inspect', row.ID, '--type', 'image', '--format', '{{.Id}}'), row.Digest);
  const [detail] = JSON.parse(await stage.ok('inspect', 'mine:v1'));
  assert.deepEqual(detail.Config.config.Cmd, ['/bin/sh']);
  assert.equal(await stage.ok('rmi', 'mine:v1'), 'Untagged: docker.io/library/mine:v1');
  assert.match(await stage.ok('rmi', stage.image), /^Untagged: .*\nDeleted: sha256:/);
  assert.equal(await stage.ok('images', '-q'), '');
});

test('what cannot be pulled or found is told with the way on, and leaves nothing', async () => {
  const table: [string[], RegExp][] = [
    [['pull', `${stage.registry.host}/busybox:nope`], /not found\nhint: check the name and tag/],
    [['pull', 'Not:A:Name'], /^berth: pull: reference "/],
    [['pull', '127.0.0.1:1/x'], /ECONNREFUSED.*\nhint: can this machine reach the registry\?/],
    [['rmi', 'nope'], /no image is called "nope"\nhint: list images/],
    [['tag', 'nope', 'x'], /no image is called "nope"/],
    [['inspect', 'nope'], /no container or image is called "nope"/],
    [['run', '--pull', 'never', 'nope'], /image nope is not here\nhint: fetch it: berth pull nope/],
    [['images', '--filter', 'x=y'], /KEY one of reference, label/],
    [['images', '--format', '{{.Nope}}'], /there are: ID|^$/],
  ];
  for (const [args, message] of table) {
    const { status, stderr } = await stage.berth(args);
    assert.match(stderr, message, args.join(' '));
    if (stderr !== '') assert.notEqual(status, 0);
  }
  assert.equal(await stage.ok('images', '-q'), '');
});

test('save and load carry images between namespaces, by file and by pipe, and Docker and OCI tools read them', async () => {
  await stage.ok('pull', '-q', stage.image);
  await stage.ok('tag', stage.image, 'mine:v1');
  const archive = `${stage.daemon.dir}/images.tar`;
  assert.equal(await stage.ok('save', '-o', archive, 'mine:v1', stage.image), '');
  const manifest = await output('tar', ['-xOf', archive, 'manifest.json']);
  assert.deepEqual(JSON.parse(manifest)[0].RepoTags, ['mine:v1', stage.image]);
  assert.match(await output('skopeo', ['inspect', `docker-archive:${archive}:mine:v1`]), /"Architecture"/);
  const loaded = await stage.ok('-n', 'loaded', 'load', '-q', '-i', archive);
  assert.deepEqual(loaded.split('\n'), ['docker.io/library/mine:v1', stage.image]);
  assert.equal(await stage.ok('-n', 'loaded', 'run', '--rm', 'mine:v1', 'echo', 'here'), 'here');
  const piped = await output('bash', ['-c', `${program} save mine:v1 | ${program} -n piped load`], {
    env: stage.env,
  });
  assert.equal(piped, 'docker.io/library/mine:v1');
  for (const namespace of ['loaded', 'piped'])
    for (const name of (await stage.ok('-n', namespace, 'images', '-q', '--no-trunc')).split('\n'))
      await stage.berth(['-n', namespace, 'rmi', name]);
  await stage.ok('rmi', 'mine:v1', stage.image);
});

test('what cannot be saved or loaded is told, and no file is left', async () => {
  const file = `${stage.daemon.dir}/nothing.tar`;
  const table: [string[], RegExp][] = [
    [
      ['save', '-o', file, 'nope'],
      /no image is called "nope"|image "docker\.io\/library\/nope:latest": not found/,
    ],
    [['save', '-o', '/nonexistent/x.tar', 'nope'], /not found|ENOENT/],
    [['load', '-i', '/nonexistent/x.tar'], /ENOENT|no such file/],
    [['load', '-i', '/etc/passwd'], /archive|tar/],
  ];
  for (const [args, message] of table) {
    const { status, stderr } = await stage.berth(args);
    assert.match(stderr, message, args.join(' '));
    assert.notEqual(status, 0);
  }
  assert.deepEqual(
    readdirSync(stage.daemon.dir).filter((name) => name.startsWith('nothing')),
    [],
  );
});

test('a login is taken from the command line and from the file of docker login', async () => {
  const { TestRegistry } = await import('../kit/registry.ts');
  const login = { username: 'me', password: 'secret' };
  await using registry = await TestRegistry.start({ login });
  const image = await registry.pushBusybox('private');
  const refused = await stage.berth(['pull', image]);
  assert.notEqual(refused.status, 0);
  assert.match(refused.stderr, /hint: log in \(berth login HOST\), or give credentials: --user/);
  const wrong = await stage.berth(['pull', '--user', 'me:wrong', image]);
  assert.equal(wrong.status, 1);
  assert.match(wrong.stderr, /hint: check the name and the password/);
  await stage.ok('pull', '-q', '--user', 'me:secret', image);
  const { writeFileSync } = await import('node:fs');
  const auth = Buffer.from('me:secret').toString('base64');
  writeFileSync(`${stage.daemon.dir}/config.json`, JSON.stringify({ auths: { [registry.host]: { auth } } }));
  await stage.ok('pull', '-q', image);
  await stage.ok('rmi', image);
});

test('leaving the progress of a pull cancels it', async () => {
  using client = connect({ address: stage.daemon.address });
  for await (const _ of client.images.pull(stage.image)) break;
  const cancel = new AbortController();
  const pull = client.images.pull(stage.image, { signal: cancel.signal });
  cancel.abort();
  await assert.rejects(pull.image(), { name: 'AbortError' });
  assert.equal((await client.images.pull(stage.image).image()).name, stage.image);
  assert.equal((await client.version()).version.split('.').length, 3);
});

test('version, info and namespaces answer as words, JSON and templates', async () => {
  assert.match(
    await stage.ok('version'),
    /^Client:\n {2}Version:[\s\S]*Server:\n {2}Version: +0\.[\s\S]*API: +containerd 2\./,
  );
  assert.match(await stage.ok('version', '--format', '{{.Server.Version}}'), /^2\.\d+\.\d+$/);
  assert.equal(JSON.parse(await stage.ok('info', '--json')).Address, stage.daemon.address);
  assert.match(await stage.ok('info'), /Snapshotters: +overlayfs/);
  await stage.ok('namespaces', 'create', 'blue', 'a=b');
  assert.match(await stage.ok('ns'), /^NAME +LABELS\n(?:.*\n)*blue +a=b/);
  assert.equal(await stage.ok('-n', 'blue', 'images', '-q'), '');
  await stage.ok('namespaces', 'rm', 'blue');
});

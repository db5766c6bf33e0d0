import assert from 'node:assert/strict';
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { TestDaemon } from './kit/daemon.ts';
import { top } from './kit/paths.ts';
import { output } from './kit/run.ts';

/** A folder far from the checkout where the packed package is installed as a user would. */
let dir: string;
const installed = (...path: string[]): string => join(dir, 'node_modules/berth', ...path);

before(async () => {
  mkdirSync('/var/tmp/berth-test', { recursive: true });
  dir = mkdtempSync('/var/tmp/berth-test/package-');
  const tarball =
    (await output('npm', ['pack', '--silent', '--pack-destination', dir], { cwd: top, timeoutMs: 300_000 }))
      .split('\n')
      .at(-1) ?? '';
  writeFileSync(join(dir, 'package.json'), '{"name": "user", "private": true, "type": "module"}');
  await output(
    'npm',
    ['install', '--silent', '--no-audit', '--no-fund', '--ignore-scripts', join(dir, tarball)],
    { cwd: dir, timeoutMs: 300_000 },
  );
});

after(() => rmSync(dir, { recursive: true, force: true }));

test('the package carries emitted JavaScript and types, no TypeScript sources and no tests', () => {
  const files = readdirSync(installed('dist'), { recursive: true, encoding: 'utf8' });
  assert.ok(files.includes('client/index.js') && files.includes('client/index.d.ts'));
  assert.deepEqual(
    files.filter((f) => (/\.ts$/.test(f) && !/\.d\.ts$/.test(f)) || /\.(test|suite)\./.test(f)),
    [],
  );
  assert.ok(!existsSync(installed('src')));
});

test('berthd and berth run from the installed package', async () => {
  await using daemon = await new TestDaemon({ program: installed('bin/berthd') }).start();
  const answer = JSON.parse(
    await output(installed('bin/berth'), ['--address', daemon.address, 'version', '--json']),
  );
  assert.match(JSON.stringify(answer), /0\.1\.0/);
});

test('berth/client type checks in another project and runs there in Node 22', async () => {
  await using daemon = await new TestDaemon({ program: installed('bin/berthd') }).start();
  const program = `import { connect } from 'berth/client';\nconst berth = connect({ address: process.argv[2] });\nconsole.log((await berth.version()).version);\nberth[Symbol.dispose]();\n`;
  writeFileSync(join(dir, 'user.mjs'), program);
  writeFileSync(join(dir, 'user.ts'), program.replace('process.argv[2]', "process.argv[2] ?? '/x'"));
  cpSync(join(top, 'node_modules/@types'), join(dir, 'node_modules/@types'), { recursive: true });
  const options = [
    '--noEmit',
    '--strict',
    '--module',
    'nodenext',
    '--target',
    'es2024',
    '--lib',
    'es2024,esnext.disposable',
    '--types',
    'node',
    'user.ts',
  ];
  await output(join(top, 'node_modules/.bin/tsc'), options, { cwd: dir });
  const node22 = `node-linux-${process.arch}@22.23.0`;
  await output(
    'npm',
    [
      'install',
      '--silent',
      '--no-audit',
      '--no-fund',
      '--ignore-scripts',
      '--prefix',
      join(dir, 'old'),
      node22,
    ],
    { timeoutMs: 300_000 },
  );
  const old = join(dir, `old/node_modules/node-linux-${process.arch}/bin/node`);
  assert.match(await output(old, ['--version']), /^v22\./);
  assert.match(await output(old, [join(dir, 'user.mjs'), daemon.address]), /^\d+\.\d+\.\d+$/m);
});

import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { after, before, test } from 'node:test';
import { Stage } from '../cli/stage.ts';
import { run } from '../kit/run.ts';

const top = resolve(import.meta.dirname, '../..');
const guide = await readFile(join(top, 'docs/from-dockerode.md'), 'utf8');
const script = 'trap "exit 0" TERM; echo logged; while :; do sleep 1; done';
let stage: Stage;
let dir: string;
before(async () => {
  stage = await Stage.open();
  dir = await mkdtemp(join(tmpdir(), 'berth-guide-'));
});
after(async () => {
  await rm(dir, { recursive: true, force: true });
  await stage[Symbol.asyncDispose]();
});

const sections = guide
  .split(/^## /m)
  .slice(1)
  .map((text) => ({
    name: text.split('\n')[0] ?? '',
    code: /```ts\n\/\/ berth\n(.*?)```/s.exec(text)?.[1] ?? '',
  }));

test('every task of the guide has its snippet', () => {
  assert.ok(sections.length >= 10);
  for (const { name, code } of sections) assert.notEqual(code, '', name);
});

for (const [index, { name, code }] of sections.entries()) {
  test(`the guide's snippet runs: ${name}`, async () => {
    const id = await stage.ok('run', '-d', '--label', 'team=red', stage.image, 'sh', '-c', script);
    try {
      const path = join(dir, `${index}.ts`);
      const imports = `import { connect, decodeEvent } from '${join(top, 'src/client/index.ts')}';\nimport { createReadStream, createWriteStream } from 'node:fs';\nimport { pipeline } from 'node:stream/promises';\n`;
      const given = `const { image, id } = ${JSON.stringify({ image: stage.image, id })};\n`;
      const opened = 'using berth = connect({ address: process.env.BERTH_ADDRESS });\n';
      await writeFile(path, `${imports}${opened}${given}{\n${code}}\n`);
      const { status, stdout, stderr } = await run(process.execPath, [path], { env: stage.env, cwd: dir });
      assert.equal(status, 0, stderr);
      assert.notEqual(stdout, '', 'shows something');
    } finally {
      await stage.berth(['rm', '-f', id]);
    }
  });
}

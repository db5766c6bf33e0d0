import assert from 'node:assert/strict';
import {
  chmodSync,
  closeSync,
  constants,
  existsSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { isKind } from '../../src/errors/error.ts';
import { withDefaultRuntime } from '../../src/runtime/default-runtime.ts';
import { until } from '../kit/until.ts';
import { Harness } from './harness.ts';

const h = new Harness();
const ctx = h.ctx();
after(() => h[Symbol.asyncDispose]());

async function start(id: string, script: string, more: Parameters<Harness['task']>[2]): Promise<void> {
  await h.tasks.create(ctx, h.task(id, ['sh', '-c', script], more));
  await h.tasks.start(ctx, id);
}

const numbers = (count: number): string[] => Array.from({ length: count }, (_, i) => String(i + 1));
const linesOf = (path: string): string[] => readFileSync(path, 'utf8').trimEnd().split('\n');
const textsOf = (path: string): string[] => linesOf(path).map((line) => line.split(' ').at(-1) ?? '');
/** Files that streams leave in a bundle. */
const streamFiles = (id: string): string[] =>
  readdirSync(join(h.state, 'io.containerd.runtime.v2.task/test', id)).filter((name) =>
    /log-state|std/.test(name),
  );

test('whoever asks for a task that is being made waits for it: input that ends at once ends in the container', async () => {
  const slow = join(h.dir, 'slow-runc');
  const go = join(h.dir, 'go');
  const wait = `case " $* " in *" create "*) until [ -e ${go} ]; do sleep 0.05; done ;; esac`;
  writeFileSync(slow, `#!/bin/sh\n${wait}\nexec runc "$@"\n`, { mode: 0o755 });
  const [stdin, stdout] = [h.fifo('soon-in'), join(h.dir, 'soon-out')];
  const options = withDefaultRuntime(undefined, slow);
  const streams = { stdin, stdout: `file://${stdout}` };
  const creating = h.tasks.create(ctx, h.task('soon', ['cat'], { ...streams, options }));
  // nerdctl: what it has for stdin is written as soon as somebody reads, and then it asks for the task to close it.
  await until(() => writeToReader(stdin, 'all of it'), 'somebody who reads');
  const asked = Promise.all([h.tasks.get(ctx, 'soon'), h.tasks.closeStdin(ctx, 'soon')]);
  asked.catch(() => {});
  writeFileSync(go, '');
  await creating;
  assert.equal((await asked)[0].status, 'created');
  await h.tasks.start(ctx, 'soon');
  assert.equal((await h.tasks.wait(ctx, 'soon')).exitStatus, 0);
  assert.equal(readFileSync(stdout, 'utf8'), 'all of it');
  await h.tasks.delete(ctx, 'soon');
});

function writeToReader(fifo: string, text: string): boolean {
  try {
    const fd = openSync(fifo, constants.O_WRONLY | constants.O_NONBLOCK);
    writeSync(fd, text);
    closeSync(fd);
    return true;
  } catch {
    return false;
  }
}

test('a log that is long is put aside, as many files are kept as were asked for, and nothing is lost', async () => {
  const log = join(h.dir, 'rotated.log');
  await start('rotated', 'seq 1 60000', { stdout: `json://${log}?max-size=1m&max-file=50` });
  await h.tasks.wait(ctx, 'rotated');
  const names = readdirSync(h.dir).filter((name) => name.startsWith('rotated.log'));
  assert.ok(names.length > 3, names.join());
  const order = names.sort((a, b) => Number(b.split('.')[2] ?? 0) - Number(a.split('.')[2] ?? 0));
  const texts = order.flatMap((name) =>
    linesOf(join(h.dir, name)).map((line) => (JSON.parse(line) as { log: string }).log.trim()),
  );
  assert.deepEqual(texts, numbers(60_000));
  await h.tasks.delete(ctx, 'rotated');
  const few = join(h.dir, 'few.log');
  await start('few', 'seq 1 60000', { stdout: `cri://${few}?max-size=500k&max-file=2` });
  await h.tasks.wait(ctx, 'few');
  assert.deepEqual(readdirSync(h.dir).filter((name) => name.startsWith('few.log')).length, 2);
  assert.equal(textsOf(few).at(-1) || textsOf(`${few}.1`).at(-1), '60000');
  await h.tasks.delete(ctx, 'few');
});

test('a log moved away goes on in a new file when it is reopened, each line in one of the two', async () => {
  const log = join(h.dir, 'moved.log');
  const script = 'i=0; while [ ! -e /tmp/moved ]; do i=$((i+1)); echo $i; done; echo last';
  await start('moved', script, { stdout: `cri://${log}`, stderr: `cri://${log}` });
  await until(() => existsSync(log) && readFileSync(log).length > 1000, 'lines');
  renameSync(log, `${log}.old`);
  await h.tasks.reopenLog(ctx, 'moved');
  const oldSize = readFileSync(`${log}.old`).length;
  await until(() => readFileSync(log).length > 1000, 'lines in the new file');
  writeFileSync(join(h.rootfs, 'tmp/moved'), '');
  await h.tasks.wait(ctx, 'moved');
  assert.equal(readFileSync(`${log}.old`).length, oldSize);
  const texts = [...textsOf(`${log}.old`), ...textsOf(log)];
  assert.equal(texts.pop(), 'last');
  assert.deepEqual(texts, numbers(texts.length));
  await h.tasks.delete(ctx, 'moved');
  await start('nolog', 'sleep 1000', {});
  await assert.rejects(h.tasks.reopenLog(ctx, 'nolog'), (e) => isKind(e, 'not_found'));
  await h.tasks.kill(ctx, 'nolog', 9);
  await h.tasks.wait(ctx, 'nolog');
  await h.tasks.delete(ctx, 'nolog');
});

const logger = join(h.dir, 'logger.sh');
writeFileSync(
  logger,
  `#!/bin/bash
out="$2"
echo "$CONTAINER_NAMESPACE/$CONTAINER_ID $*" >"$out.who"
exec 5>&-
cat <&3 >"$out.stdout" &
cat <&4 >"$out.stderr"
wait
`,
);
chmodSync(logger, 0o755);

test('a logger gets both streams, names and arguments, and what it has not read holds up the exit', async () => {
  const out = join(h.dir, 'logged');
  const uri = `binary://${logger}?out=${out}&flag`;
  await start('logged', 'seq 1 20000; echo oops >&2; exit 3', { stdout: uri, stderr: uri });
  assert.equal((await h.tasks.wait(ctx, 'logged')).exitStatus, 3);
  const done = () => readFileSync(`${out}.stdout`, 'utf8').endsWith('\n20000\n');
  await until(done, 'a logger that wrote down what it had read');
  assert.deepEqual(linesOf(`${out}.stdout`), numbers(20_000));
  await until(() => readFileSync(`${out}.stderr`, 'utf8') === 'oops\n', 'the other stream');
  assert.equal(readFileSync(`${out}.who`, 'utf8'), `test/logged out ${out} flag \n`);
  await h.tasks.delete(ctx, 'logged');
});

test('a logger that is missing, or ends before it is ready, fails the create, and leaves nothing', async () => {
  for (const [path, kind] of [
    ['/no/such/logger', 'not_found'],
    ['/bin/false', 'unknown'],
  ] as const) {
    await assert.rejects(
      start('nologger', 'true', { stdout: `binary://${path}`, stderr: `binary://${path}` }),
      (e) => isKind(e, kind),
      path,
    );
    await assert.rejects(h.tasks.get(ctx, 'nologger'), (e) => isKind(e, 'not_found'));
  }
});

test('a log on a full disk loses lines and nothing else: the container runs on, its neighbour too', async () => {
  await start('full', 'seq 1 100000; exit 4', { stdout: 'cri:///dev/full' });
  assert.equal((await h.tasks.wait(ctx, 'full')).exitStatus, 4);
  await h.tasks.delete(ctx, 'full');
});

test('streams leave nothing in the bundle but what belongs to a process that is still there', async () => {
  const log = `cri://${join(h.dir, 'files.log')}`;
  await start('files', 'sleep 1000', { stdout: log, stderr: log });
  assert.deepEqual(streamFiles('files').sort(), [
    'init-stderr',
    'init-stderr.spent',
    'init-stdout',
    'init-stdout.log-state',
    'init-stdout.spent',
  ]);
  await h.tasks.kill(ctx, 'files', 9);
  await h.tasks.wait(ctx, 'files');
  await h.tasks.delete(ctx, 'files');
});

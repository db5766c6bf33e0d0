import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, readSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { makeFifo, openFifo } from '../sys/fifo.ts';
import { deleteContainer, finishStart, startCrun, startRunc } from './runtime-shortcuts.ts';
import { plainCgroupOf } from './task-rootfs.ts';

const dir = mkdtempSync(join(tmpdir(), 'berth-runc-'));
after(() => rmSync(dir, { recursive: true }));

const never = new Promise<never>(() => {});

function container(name: string): string {
  const path = join(dir, name);
  mkdirSync(path);
  makeFifo(join(path, 'exec.fifo'));
  return path;
}

/** What runc's first process does when it is ready. */
const waiting = (path: string) => spawn('sh', ['-c', `printf 0 > ${path}/exec.fifo`]);

test('a process that waits at exec.fifo goes on, whether it was there before or comes later', async () => {
  for (const early of [true, false]) {
    const path = container(`start-${early}`);
    const child = early ? waiting(path) : undefined;
    const started = startRunc(path, never);
    const [code] = await once(child ?? waiting(path), 'exit');
    assert.equal(code, 0);
    assert.equal(await started, true);
    assert.equal(existsSync(join(path, 'exec.fifo')), false);
  }
});

test('a container that has no FIFO, another thing in its place, or a dead process is left to runc', async () => {
  const path = container('dead');
  assert.equal(await startRunc(path, Promise.resolve()), false);
  assert.ok(existsSync(join(path, 'exec.fifo')));
  rmSync(join(path, 'exec.fifo'));
  assert.equal(await startRunc(path, never), false);
  writeFileSync(join(path, 'exec.fifo'), '0');
  assert.equal(await startRunc(path, never), false);
});

test('crun’s process that waits at exec.fifo goes on; where none waits, crun is asked', () => {
  const path = container('crun');
  assert.equal(startCrun(path), false);
  assert.ok(existsSync(join(path, 'exec.fifo')));
  using held = openFifo(join(path, 'exec.fifo'), 'read');
  assert.equal(startCrun(path), true);
  assert.equal(existsSync(join(path, 'exec.fifo')), false);
  assert.equal(readSync(held.fd, Buffer.alloc(2)), 1);
  assert.equal(startCrun(path), false);
});

test('a start that was cut short is finished where the process no longer waits, and left where it does', () => {
  const path = container('cut');
  {
    using _waiting = openFifo(join(path, 'exec.fifo'), 'read');
    assert.equal(finishStart(path, process.pid), false);
    assert.ok(existsSync(join(path, 'exec.fifo')));
  }
  assert.equal(finishStart(path, process.pid), true);
  assert.equal(existsSync(join(path, 'exec.fifo')), false);
  assert.equal(finishStart(path, process.pid), false);
});

test('a container is deleted with its cgroup; a path that is no cgroup of its own is left to runc', async () => {
  const path = container('gone');
  assert.equal(await deleteContainer(path, '/'), false);
  assert.ok(existsSync(path));
  assert.equal(await deleteContainer(path, '/berth-absent/gone'), true);
  assert.equal(existsSync(path), false);
});

test('only a container that leaves nothing else to do is deleted without runc', () => {
  const namespaces = [{ type: 'pid' }];
  const cgroupsPath = '/default/a';
  const cgroup = (spec: object): string | undefined => {
    writeFileSync(join(dir, 'config.json'), JSON.stringify(spec));
    return plainCgroupOf(dir);
  };
  assert.equal(cgroup({ linux: { cgroupsPath, namespaces } }), cgroupsPath);
  for (const spec of [
    {},
    { linux: { cgroupsPath, namespaces: [] } },
    { linux: { cgroupsPath, namespaces: [{ type: 'pid', path: '/proc/1/ns/pid' }] } },
    { linux: { cgroupsPath: 'a.slice:cri:b', namespaces } },
    { linux: { namespaces } },
    { linux: { cgroupsPath, namespaces, intelRdt: {} } },
    { linux: { cgroupsPath, namespaces }, hooks: { poststop: [{ path: '/bin/true' }] } },
  ])
    assert.equal(cgroup(spec), undefined, JSON.stringify(spec));
});

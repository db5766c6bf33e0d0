import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { after, test } from 'node:test';
import { create, toBinary } from '@bufbuild/protobuf';
import { OptionsSchema } from '../../src/gen/containerd/runc/v1/runc_pb.ts';
import { Harness } from './harness.ts';

const skip = existsSync('/run/systemd/system') ? false : 'systemd does not run here: see test/vm/run';
const h = new Harness();
after(() => h[Symbol.asyncDispose]());
const ctx = h.ctx();

/** With systemd's cgroups a path is slice:prefix:name. */
function underSystemd(id: string, args: string[], binaryName: string) {
  const task = h.task(id, args);
  const spec = JSON.parse(Buffer.from(task.spec).toString());
  spec.linux.cgroupsPath = `system.slice:berth-test:${id}`;
  const options = create(OptionsSchema, { systemdCgroup: true, binaryName });
  return {
    ...task,
    spec: Buffer.from(JSON.stringify(spec)),
    options: { typeUrl: OptionsSchema.typeName, value: toBinary(OptionsSchema, options) },
  };
}

for (const runtime of ['runc', 'crun'])
  test(`${runtime} puts a task into a scope of systemd, which goes with it`, { skip }, async () => {
    const id = `scope-${runtime}`;
    await h.tasks.create(ctx, underSystemd(id, ['sleep', '1000'], runtime));
    const pid = await h.tasks.start(ctx, id);
    const cgroup = readFileSync(`/proc/${pid}/cgroup`, 'utf8');
    assert.match(cgroup, new RegExp(`/system\\.slice/berth-test-${id}\\.scope`));
    assert.ok(((await h.tasks.metrics(ctx, id))?.value.length ?? 0) > 0);
    const resources = Buffer.from(JSON.stringify({ memory: { limit: 64 << 20 } }));
    await h.tasks.update(ctx, id, { typeUrl: 'LinuxResources', value: resources });
    await h.tasks.pause(ctx, id);
    assert.equal((await h.tasks.get(ctx, id)).status, 'paused');
    await h.tasks.resume(ctx, id);
    await h.tasks.kill(ctx, id, 9);
    assert.equal((await h.tasks.wait(ctx, id)).exitStatus, 137);
    await h.tasks.delete(ctx, id);
    assert.ok(!existsSync(`/sys/fs/cgroup/system.slice/berth-test-${id}.scope`));
  });

import assert from 'node:assert/strict';
import { chmodSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { ClientStage, type Generation, generations } from './table.ts';

/** A container in a user namespace: the snapshotter gives its files the owners that its root expects (`remap-ids`). */

const maps = '--uidmap 0:100000:65536 --gidmap 0:200000:65536 --remap-labels';
const look = 'cat /proc/self/uid_map; touch /new && stat -c "%u:%g %n" /bin/busybox /new';

let stage: ClientStage;
before(async () => {
  stage = await ClientStage.open();
  // Root of the container is nobody to the host: it must be let through to its bundle.
  chmodSync(stage.daemon.dir, 0o711);
});
after(() => stage[Symbol.asyncDispose]());

for (const generation of Object.keys(generations) as Generation[])
  test(`${generation} runs a container whose root owns the image's files and is nobody outside`, async () => {
    const pull = await stage.line(generation, '$C images pull --plain-http $IMG >/dev/null');
    assert.equal(pull.status, 0, pull.shown);
    const run = await stage.line(generation, `$C run --rm ${maps} $IMG t sh -c '${look}'`);
    assert.equal(run.shown, '0 100000 65536\n0:0 /bin/busybox\n0:0 /new');
  });

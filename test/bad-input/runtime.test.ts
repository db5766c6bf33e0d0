import assert from 'node:assert/strict';
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { ClientStage, type Generation, generations } from '../clients/table.ts';
import { containerProcesses, violationsAtRest } from '../kit/checker.ts';

let stage: ClientStage;
before(async () => {
  stage = await ClientStage.open();
});
after(() => stage[Symbol.asyncDispose]());

/** Runs that cannot start: the words of `run`, and what is shown. */
const runs: Readonly<Record<string, readonly [words: string, says: RegExp]>> = {
  'an entrypoint that is not there': [
    '$IMG a /nope',
    /exec: "\/nope": stat \/nope: no such file or directory/,
  ],
  'an entrypoint that is not in PATH': ['$IMG a nope', /exec: "nope": executable file not found in \$PATH/],
  'an entrypoint that is a directory': ['$IMG a /etc', /exec: "\/etc": (is a directory|permission denied)/],
  'an entrypoint that may not be executed': [
    '$IMG a /etc/passwd',
    /exec: "\/etc\/passwd": permission denied/,
  ],
  'a mount source that is not there': [
    '--mount type=bind,src=/nope,dst=/mnt,options=rbind $IMG a true',
    /\/nope.*no such file or directory/,
  ],
  'a device that is not there': ['--device /dev/nope $IMG a true', /no such file or directory/],
  'an OCI runtime that is not there': [
    '--runc-binary /nope/runc $IMG a true',
    /\/nope\/runc: no such file or directory/,
  ],
  'an OCI runtime that is no program': [
    '--runc-binary /etc/passwd $IMG a true',
    /\/etc\/passwd: permission denied/,
  ],
  'an OCI runtime that says nonsense': ['--runc-binary /bin/false $IMG a true', /failed to create shim task/],
  'a shim that is not there': [
    '--runtime io.containerd.nope.v1 $IMG a true',
    /runtime "io\.containerd\.nope\.v1" binary not installed "containerd-shim-nope-v1"/,
  ],
  'a runtime whose name is none': ['--runtime ../../../bin/sh $IMG a true', /invalid|not (found|installed)/],
  'a memory limit no process can live in': ['--memory-limit 4096 $IMG a true', /./],
  'a namespace that is not there': [
    '--with-ns network:/proc/0/ns/net $IMG a true',
    /\/proc\/0\/ns\/net.*no such file/,
  ],
};

for (const generation of Object.keys(generations) as Generation[]) {
  describe(`ctr ${generation} run of`, () => {
    before(() => stage.line(generation, '$C images pull --plain-http $IMG'));
    for (const [name, [words, says]] of Object.entries(runs)) {
      test(`${name}: is told clearly and leaves nothing`, async () => {
        const { daemon } = stage;
        const { pid } = daemon;
        const { status, shown } = await stage.line(generation, `$C run --rm --fifo-dir $PWD/fifos ${words}`);
        // What ctr made before it noticed by itself is ctr's to remove.
        if (name === 'a device that is not there') await stage.line(generation, '$C snapshots rm a');
        assert.notEqual(status, 0);
        assert.match(shown, says);
        const left = await stage.line(generation, '$C task ls -q; $C c ls -q; $C snapshots ls | grep Active');
        assert.equal(left.shown, '');
        assert.deepEqual(await violationsAtRest(daemon.root, daemon.state), []);
        assert.deepEqual(bundles(), []);
        assert.deepEqual(containerProcesses(daemon.root), []);
        assert.equal((await stage.line(generation, '$C run --rm $IMG a echo works')).shown, 'works');
        assert.equal(daemon.pid, pid);
      });
    }
  });
}

function bundles(): string[] {
  const tasks = join(stage.daemon.state, 'io.containerd.runtime.v2.task');
  return existsSync(tasks) ? readdirSync(tasks).flatMap((ns) => readdirSync(join(tasks, ns))) : [];
}

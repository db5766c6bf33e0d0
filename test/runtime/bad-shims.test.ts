import assert from 'node:assert/strict';
import { chmodSync, existsSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { commandOf, processesOf, startDaemon, type TestDaemon } from '../kit/daemon.ts';
import { removeCgroups } from '../kit/leftovers.ts';
import { ctr2, shim1 } from '../kit/paths.ts';
import { type RunResult, run } from '../kit/run.ts';
import { until } from '../kit/until.ts';
import { makeRootfs } from './harness.ts';

let daemon: TestDaemon;
const namespace = `badshim${process.pid}`;

before(async () => {
  daemon = await startDaemon({ config: '[berth]\nshim_start_timeout = "2s"\n' });
  makeRootfs(join(daemon.dir, 'r'));
  assert.equal((await ctr(`run -d --rootfs ${daemon.dir}/r neighbour /bin/sleep 1000`)).stderr, '');
});
after(async () => {
  await daemon[Symbol.asyncDispose]();
  removeCgroups([namespace]);
});

const ctr = (line: string): Promise<RunResult> =>
  run('bash', ['-c', `${ctr2} -a ${daemon.address} -n ${namespace} ${line}`], { timeoutMs: 40_000 });

/** A shim: `start` and `delete` are lines of shell; `$SOCK` is a path in the bundle, `serve` a server there. */
function badShim(name: string, start: string, remove = 'printf "\\x08\\x07\\x10\\x09"'): string {
  const path = join(daemon.dir, `containerd-shim-${name}-v2`);
  const serve = `"${process.execPath}" -e 'require("net").createServer((c) => { eval(process.argv[1]) }).listen(process.argv[2])'`;
  const script = `#!/bin/bash
SOCK=$PWD/sock
serve() { ${serve} "$1" $SOCK </dev/null >/dev/null 2>&1 & until [ -S $SOCK ]; do sleep 0.02; done; echo unix://$SOCK; }
case "\${@: -1}" in
start) ${start} ;;
delete) ${remove} ;;
esac
`;
  writeFileSync(path, script);
  chmodSync(path, 0o755);
  return path;
}

const table: readonly (readonly [name: string, start: string, said: RegExp, remove?: string])[] = [
  ['garbage', 'head -c 100000 /dev/urandom', /printed no address/],
  ['silent', 'true', /printed no address: ""/],
  ['fails', 'echo "no such hypervisor" >&2; exit 3', /no such hypervisor/],
  ['hangs', 'exec sleep 2000', /did not end within 2000 ms/],
  ['nobody', 'echo unix://$SOCK', /connect to .*sock: .*ENOENT/],
  ['deaf', 'serve ";"', /does not answer/],
  ['rude', 'serve "c.end(\\"HTTP\\/1.1 400 Bad Request\\\\r\\\\n\\\\r\\\\n\\")"', /went away/],
  ['dies', 'serve "process.exit(1)"', /went away/],
  ['stubborn', 'echo unix://$SOCK', /connect to/, 'echo "will not" >&2; exit 1'],
];

for (const [name, start, said, remove] of table) {
  test(`a shim that is ${name} is told, and leaves nothing; its neighbour does not notice`, async () => {
    const shim = badShim(name, start, remove);
    const { status, stderr } = await ctr(`run --rm --runtime ${shim} --rootfs ${daemon.dir}/r x /bin/true`);
    assert.notEqual(status, 0);
    assert.match(stderr, said);
    await until(() => processesOf(daemon.dir).every((pid) => !leftOf(pid)), 'the end of its processes');
    if (remove === undefined) assert.deepEqual(bundles(), ['neighbour']);
    const { stdout } = await ctr('task exec --exec-id e neighbour /bin/echo here');
    assert.equal(stdout, 'here\n');
    assert.equal((await ctr(`run --rm --runtime ${shim1} --rootfs ${daemon.dir}/r x /bin/true`)).status, 0);
  });
}

const leftOf = (pid: number): boolean => /containerd-shim-|createServer|sleep 2000/.test(commandOf(pid));

function bundles(): string[] {
  const dir = join(daemon.state, 'io.containerd.runtime.v2.task', namespace);
  return existsSync(dir) ? readdirSync(dir) : [];
}

// Measures berthd beside containerd 2.3.4: same machine, same run, same client (ctr 2.3.4), same registry on loopback,
// same OCI runtime (runc). usage: sudo node bench/main.ts [--quick]   writes docs/benchmarks.md
import { execFile, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { cpus, loadavg, release, totalmem } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { installPackage, type Subject, scratch, startBerth, startContainerd } from './daemons.ts';
import { type Row, renderRow, sideBySide } from './stats.ts';

const run = promisify(execFile);
const quick = process.argv.includes('--quick');
const top = resolve(import.meta.dirname, '..');
const ctr = join(process.env.BERTH_TOOLS ?? '/var/cache/berth-tools', 'containerd/ctr');
const layout = '/var/cache/berth-bench/big';
const port = 5556;
const big = `127.0.0.1:${port}/big:latest`;
const small = `127.0.0.1:${port}/small:latest`;

async function timed(args: readonly string[]): Promise<number> {
  const start = performance.now();
  await run(ctr, args, { maxBuffer: 16 << 20 });
  return performance.now() - start;
}

const on = (subject: Subject, ...args: string[]): string[] => ['-a', subject.address, ...args];

async function startRegistry(dir: string): Promise<() => void> {
  writeFileSync(
    join(dir, 'registry.yml'),
    `version: 0.1\nlog: {level: error}\nstorage: {filesystem: {rootdirectory: ${dir}/registry}}\nhttp: {addr: "127.0.0.1:${port}"}\n`,
  );
  const child = spawn('docker-registry', ['serve', join(dir, 'registry.yml')], { stdio: 'ignore' });
  await once(child, 'spawn');
  execFileSync(join(import.meta.dirname, 'image.sh'), [layout], { stdio: 'inherit' });
  const push = (from: string, to: string): Promise<unknown> =>
    run('skopeo', [
      '--insecure-policy',
      'copy',
      '-q',
      '--retry-times',
      '5',
      '--dest-tls-verify=false',
      from,
      `docker://${to}`,
    ]);
  await push(`oci:${layout}/oci:big`, big);
  await push(`oci:${smallLayout(dir)}:small`, small);
  return () => child.kill();
}

/** busybox and nothing else. */
function smallLayout(dir: string): string {
  const script = `umoci init --layout small && umoci new --image small:small && umoci unpack --image small:small b && mkdir -p b/rootfs/bin && cp /bin/busybox b/rootfs/bin/true && cp /bin/busybox b/rootfs/bin/sleep && umoci repack --image small:small b && umoci config --image small:small --config.env PATH=/bin`;
  execFileSync('sh', ['-ec', script], { cwd: dir, stdio: 'ignore' });
  return join(dir, 'small');
}

async function versionRow(berth: Subject, containerd: Subject): Promise<Row> {
  const times = await sideBySide(
    quick ? 10 : 40,
    () => timed(on(berth, 'version')),
    () => timed(on(containerd, 'version')),
  );
  return { figure: '`ctr version`', unit: 'ms', goal: 1, ...times };
}

async function runRow(berth: Subject, containerd: Subject): Promise<Row> {
  let n = 0;
  const once = (subject: Subject): Promise<number> =>
    timed(on(subject, 'run', '--rm', small, `run-${n++}`, '/bin/true'));
  for (const subject of [berth, containerd]) {
    await timed(on(subject, 'images', 'pull', '--plain-http', small));
    await once(subject);
  }
  const times = await sideBySide(
    quick ? 5 : 40,
    () => once(berth),
    () => once(containerd),
  );
  return { figure: '`ctr run --rm … true`', unit: 'ms', goal: 1, ...times };
}

async function pullOnce(subject: Subject): Promise<number> {
  const ms = await timed(on(subject, 'images', 'pull', '--plain-http', big));
  await run(ctr, on(subject, 'images', 'rm', '--sync', big));
  await run('sync', []);
  return ms / 1000;
}

async function pullRow(berth: Subject, containerd: Subject): Promise<Row> {
  const times = await sideBySide(
    quick ? 1 : 5,
    () => pullOnce(berth),
    () => pullOnce(containerd),
  );
  return {
    figure: `pull and unpack, ${imageSizeMb()} MB compressed, 6 layers (Berth durable, containerd not)`,
    unit: 's',
    goal: 1,
    ...times,
  };
}

function imageSizeMb(): number {
  return Number(execFileSync('du', ['-sm', join(layout, 'oci/blobs')], { encoding: 'utf8' }).split('\t')[0]);
}

/** Both daemons get this long without calls before their memory is read. */
const quietMs = 20_000;

async function memoryRow(figure: string, both: readonly [Subject, Subject]): Promise<Row> {
  await sleep(quietMs);
  const [berth, containerd] = both.map((subject) => [subject.memoryMb()]) as [number[], number[]];
  return { figure: `memory, PSS: daemon and shims, ${figure}`, unit: 'MB', goal: 1, berth, containerd };
}

async function peakRow(both: readonly [Subject, Subject]): Promise<Row> {
  const [berth, containerd] = [[], []] as [number[], number[]];
  for (const subject of both) {
    (subject.name === 'berth' ? berth : containerd).push(await subject.peakMb(() => pullOnce(subject)));
  }
  return {
    figure: 'memory, RSS: peak of the daemon in a pull',
    unit: 'MB',
    goal: undefined,
    berth,
    containerd,
  };
}

let running = 0;
const idleName = (n: number): string => `bench-${process.pid}-${n}`;

async function containersRow(count: number, both: readonly [Subject, Subject]): Promise<Row> {
  for (; running < count; running++)
    for (const subject of both)
      await timed(on(subject, 'run', '-d', '--null-io', small, idleName(running), '/bin/sleep', '3600'));
  return memoryRow(`${count} containers`, both);
}

/** containerd's shim keeps runc's state outside of the daemon's directories: what runs must be deleted by name. */
async function removeContainers(subject: Subject): Promise<void> {
  for (let n = 0; n < running; n++)
    await run(ctr, on(subject, 'tasks', 'rm', '--force', idleName(n))).catch(() => {});
}

interface Floor {
  readonly figure: string;
  readonly seconds: number;
}

/** What no program that pulls this image can do without, each alone on one core. */
async function floors(dir: string): Promise<Floor[]> {
  const tar = join(dir, 'layers.tar');
  const layers = `find ${layout}/oci/blobs -size +1M`;
  const seconds = async (script: string): Promise<number> => {
    const start = performance.now();
    await run('sh', ['-ec', script]);
    return (performance.now() - start) / 1000;
  };
  const inflate = await seconds(`${layers} -exec gzip -dc {} + >/dev/null`);
  await seconds(`${layers} -exec gzip -dc {} + >${tar}; sync`);
  const size = Math.round(statSync(tar).size / 2 ** 20);
  return [
    { figure: 'inflate with gzip', seconds: inflate },
    {
      figure: `SHA-256 of ${imageSizeMb()} + ${size} MB`,
      seconds: await seconds(`cat ${tar} $(${layers}) | openssl dgst -sha256`),
    },
    {
      figure: `write and sync ${size} MB in one file`,
      seconds: await seconds(`cp ${tar} ${tar}.copy && sync ${tar}.copy`),
    },
  ];
}

function report(rows: readonly Row[], floor: readonly Floor[], load: string): string {
  const cpu = /model name\s*: (.*)/.exec(readFileSync('/proc/cpuinfo', 'utf8'))?.[1] ?? 'unknown';
  const version = execFileSync(ctr, ['--version'], { encoding: 'utf8' }).trim();
  const machine = `${cpus().length} × ${cpu}, ${Math.round(totalmem() / 2 ** 30)} GiB, Linux ${release()}`;
  return `# Benchmarks

Made by \`sudo node bench/main.ts\` on ${new Date().toISOString().slice(0, 10)}: ${machine}. Both daemons run at the same time on the same disk, the sides take
turns, figures are medians. The client is ${version}, the registry Debian's docker-registry on loopback, the OCI runtime runc for both.
Berth runs from its packed npm package. Durability: Berth syncs layers, blobs and metadata before it acknowledges them; containerd has its defaults.

| figure | Berth | containerd 2.3.4 | ratio | goal | met | rounds |
|---|---|---|---|---|---|---|
${rows.map(renderRow).join('\n')}

Memory is read after ${quietMs / 1000} s without calls. PSS counts pages that processes share by halves, thirds and so on; the one Node binary
that berthd and its shim share counts once. Berth's memory in quiet moments and during pulls: docs/decisions/0003-memory-and-start.md.

Floors of the pull, each step alone, single-threaded (gzip, openssl, cp):

| step | time |
|---|---|
${floor.map(({ figure, seconds }) => `| ${figure} | ${seconds.toFixed(2)} s |`).join('\n')}

Load average of the machine before and after: ${load}.
`;
}

const dir = scratch();
mkdirSync(join(dir, 'package'));
const loadBefore = loadavg()[0]?.toFixed(1);
const stopRegistry = await startRegistry(dir);
const berth = await startBerth(join(dir, 'berth'), installPackage(join(dir, 'package')));
const containerd = await startContainerd(join(dir, 'containerd'));
try {
  const both = [berth, containerd] as const;
  const rows = [await memoryRow('just started', both)];
  rows.push(await versionRow(berth, containerd));
  rows.push(await pullRow(berth, containerd));
  rows.push(await memoryRow('after pulls', both));
  rows.push(await peakRow(both));
  rows.push(await runRow(berth, containerd));
  for (const count of [10, 50]) rows.push(await containersRow(count, both));
  const text = report(rows, await floors(dir), `${loadBefore}, ${loadavg()[0]?.toFixed(1)}`);
  console.log(text);
  if (!quick) writeFileSync(join(top, 'docs/benchmarks.md'), text);
} finally {
  for (const subject of [berth, containerd]) await removeContainers(subject);
  await berth.stop();
  await containerd.stop();
  stopRegistry();
  rmSync(dir, { recursive: true, force: true });
}

import { execFile, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { installPackage, type Subject, scratch, startBerth, startContainerd } from './daemons.ts';

const run = promisify(execFile);

const ctr = join(process.env.BERTH_TOOLS ?? '/var/cache/berth-tools', 'containerd/ctr');
/** Images and results that outlive a run. */
export const cache = '/var/cache/berth-bench';
const port = Number(process.env.BERTH_BENCH_PORT ?? 5556);

/** Name of an image in the registry: `small`, `big`, `zstd`, `files`, `layers`. */
export const image = (name: string): string => imageAt(port, name);
const imageAt = (port: number, name: string): string => `127.0.0.1:${port}/${name}:latest`;

/** The name of an image, and of the same behind 50 MB/s for all connections together. */
export const throttled = (name: string): string => imageAt(port + 1, name);
export const throttledBytesPerSecond = 50e6;

/** Both daemons side by side with a registry, and what the groups of figures share. Disposing of it leaves nothing. */
export interface Lab extends AsyncDisposable {
  readonly dir: string;
  readonly quick: boolean;
  readonly berth: Subject;
  readonly containerd: Subject;
  /** containerd with four unpacks at a time, stopped with the lab. */
  containerd4(): Promise<Subject>;
}

export async function openLab(quick: boolean): Promise<Lab> {
  await using opened = new AsyncDisposableStack();
  const dir = scratch();
  opened.defer(async () => void (await run('rm', ['-rf', dir])));
  opened.defer(await startRegistry(dir));
  opened.defer(await startThrottle());
  mkdirSync(join(dir, 'package'));
  const started = async (subject: Promise<Subject>): Promise<Subject> => {
    const daemon = await subject;
    opened.defer(() => daemon.stop());
    return daemon;
  };
  const berth = await started(startBerth(join(dir, 'berth'), installPackage(join(dir, 'package'))));
  const containerd = await started(startContainerd(join(dir, 'containerd')));
  for (const subject of [berth, containerd]) await pull(subject, 'small');
  const all = opened.move();
  const containerd4 = async (): Promise<Subject> => {
    const four = await startContainerd(
      join(dir, 'containerd4'),
      `[plugins.'io.containerd.transfer.v1.local']\nmax_concurrent_unpacks = 4\n`,
    );
    all.defer(() => four.stop());
    return four;
  };
  return { dir, quick, berth, containerd, containerd4, [Symbol.asyncDispose]: () => all.disposeAsync() };
}

/** Runs ctr against a daemon. @returns milliseconds */
export async function timedCtr(subject: Subject, ...args: string[]): Promise<number> {
  const start = performance.now();
  await run(ctr, ['-a', subject.address, ...args], { maxBuffer: 64 << 20 });
  return performance.now() - start;
}

/** Runs a shell script in which $CTR is ctr against a daemon. @returns milliseconds */
export async function timedShell(subject: Subject, script: string): Promise<number> {
  const start = performance.now();
  await run('sh', ['-ec', script], { env: { ...process.env, CTR: `${ctr} -a ${subject.address}` } });
  return performance.now() - start;
}

/** What ctr prints. */
export async function outputOf(subject: Subject, ...args: string[]): Promise<string> {
  return (await run(ctr, ['-a', subject.address, ...args], { maxBuffer: 64 << 20 })).stdout;
}

export const pull = (subject: Subject, name: string, at = image): Promise<number> =>
  timedCtr(subject, 'images', 'pull', '--plain-http', at(name));

export const removeImage = (subject: Subject, name: string, at = image): Promise<number> =>
  timedCtr(subject, 'images', 'rm', '--sync', at(name));

let lastName = 0;
/** A name that no container of this run had. */
export const freshName = (): string => `bench-${process.pid}-${++lastName}`;

/** A detached container that sleeps; `flags` go to `ctr run`. @returns milliseconds until ctr is back */
export const startSleeper = (
  subject: Subject,
  name: string,
  flags: readonly string[] = [],
): Promise<number> =>
  timedCtr(subject, 'run', '-d', '--null-io', ...flags, image('small'), name, '/bin/sleep', '36000');

/** Ends and removes containers, eight at a time. */
export async function removeAll(subject: Subject, names: readonly string[]): Promise<void> {
  await eightAtATime(names, async (name) => {
    await timedCtr(subject, 'tasks', 'rm', '--force', name).catch(() => {});
    await timedCtr(subject, 'containers', 'rm', name).catch(() => {});
  });
}

/** Works through a list with eight workers. */
export async function eightAtATime<T>(
  items: readonly T[],
  work: (item: T) => Promise<unknown>,
): Promise<void> {
  const rest = [...items];
  const worker = async (): Promise<void> => {
    for (let item = rest.shift(); item !== undefined; item = rest.shift()) await work(item);
  };
  await Promise.all(Array.from({ length: 8 }, worker));
}

/** Debian's docker-registry on loopback with the images named. @returns what ends it */
export async function startRegistry(dir: string, names: readonly string[] = imageNames): Promise<() => void> {
  const config = `version: 0.1\nlog: {level: error}\nstorage: {filesystem: {rootdirectory: ${dir}/registry}}\nhttp: {addr: "127.0.0.1:${port}"}\n`;
  writeFileSync(join(dir, 'registry.yml'), config);
  const child = spawn('docker-registry', ['serve', join(dir, 'registry.yml')], { stdio: 'ignore' });
  await once(child, 'spawn');
  for (const name of names) await push(layoutOf(name, dir), name);
  return () => void child.kill();
}

/** The registry once more, slower (see {@link throttled}), in a process of its own. @returns what ends it */
export async function startThrottle(): Promise<() => void> {
  const script = join(import.meta.dirname, 'throttle.ts');
  const args = [script, port + 1, port, throttledBytesPerSecond].map(String);
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  await once(child.stdout, 'data');
  return () => void child.kill();
}

const imageNames = ['small', 'big', 'zstd', 'files', 'layers'];

/** An OCI layout of the image, made where it is not there yet. */
function layoutOf(name: string, dir: string): string {
  const [big, variants] = [join(cache, 'big'), join(cache, 'variants')];
  if (name === 'small') return `${smallLayout(dir)}:small`;
  execFileSync(join(import.meta.dirname, 'image.sh'), [big], { stdio: 'inherit' });
  if (name === 'big') return `${big}/oci:big`;
  execFileSync(join(import.meta.dirname, 'variants.sh'), [big, variants], { stdio: 'inherit' });
  return `${variants}/${name}:${name}`;
}

const push = (from: string, name: string): Promise<unknown> =>
  run('skopeo', [
    ...['--insecure-policy', 'copy', '-q', '--retry-times', '5', '--dest-tls-verify=false'],
    `oci:${from}`,
    `docker://${image(name)}`,
  ]);

/** busybox and nothing else. */
function smallLayout(dir: string): string {
  const script =
    'umoci init --layout small && umoci new --image small:small && umoci unpack --image small:small b && mkdir -p b/rootfs/bin && ' +
    'for name in true sleep dd; do cp /bin/busybox b/rootfs/bin/$name; done && umoci repack --image small:small b && umoci config --image small:small --config.env PATH=/bin';
  execFileSync('sh', ['-ec', script], { cwd: dir, stdio: 'ignore' });
  return join(dir, 'small');
}

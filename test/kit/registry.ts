import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { connect, createServer } from 'node:net';
import { join } from 'node:path';
import { output } from './run.ts';
import { until } from './until.ts';

const work = process.env.BERTH_TEST_WORK ?? '/var/tmp/berth-test';

export interface TestRegistryOptions {
  /** Ask for these (HTTP Basic, bcrypt htpasswd). */
  readonly login?: { readonly username: string; readonly password: string };
  /** Serve TLS with a certificate for 127.0.0.1 and localhost that {@link TestRegistry.caFile} vouches for. */
  readonly tls?: boolean;
  /** An address of this machine to listen on. Default: 127.0.0.1. */
  readonly ip?: string;
}

/** Debian's docker-registry on a free loopback port, with everything below one directory. Disposal leaves nothing. */
export class TestRegistry implements AsyncDisposable {
  readonly dir: string;
  /** `127.0.0.1:PORT`, or with another address: the host part of references. */
  readonly host: string;
  readonly caFile: string;
  readonly #child: ChildProcess;
  readonly #options: TestRegistryOptions;

  private constructor(dir: string, host: string, child: ChildProcess, options: TestRegistryOptions) {
    this.dir = dir;
    this.host = host;
    this.caFile = join(dir, 'ca.pem');
    this.#child = child;
    this.#options = options;
  }

  static async start(options: TestRegistryOptions = {}): Promise<TestRegistry> {
    mkdirSync(work, { recursive: true });
    const dir = mkdtempSync(join(work, 'registry-'));
    const { ip = '127.0.0.1' } = options;
    const port = await freePort();
    if (options.tls === true) await makeCertificate(dir, ip);
    if (options.login !== undefined) await writeHtpasswd(dir, options.login);
    writeFileSync(join(dir, 'config.yml'), configText(dir, port, options));
    const child = spawn('docker-registry', ['serve', join(dir, 'config.yml')], {
      stdio: 'ignore',
      env: { PATH: process.env.PATH, OTEL_TRACES_EXPORTER: 'none' },
    });
    await waitForPort(ip, port, child);
    return new TestRegistry(dir, `${ip}:${port}`, child, options);
  }

  /** A directory for `--hosts-dir` that trusts this registry's certificate. */
  hostsDir(): string {
    const dir = join(this.dir, 'certs.d');
    mkdirSync(join(dir, this.host), { recursive: true });
    if (this.#options.tls === true) copyFileSync(this.caFile, join(dir, this.host, 'ca.crt'));
    return dir;
  }

  /** Pushes an OCI layout's image `layout:tag` by skopeo; returns `host/repository:tag`. */
  async push(layout: string, repository: string, tag = 'latest'): Promise<string> {
    const reference = `${this.host}/${repository}:${tag}`;
    const { login, tls } = this.#options;
    const args = ['--insecure-policy', 'copy', '-q', `--dest-tls-verify=false`];
    if (login !== undefined) args.push('--dest-creds', `${login.username}:${login.password}`);
    await output('skopeo', [
      ...args,
      '--format',
      tls === true ? 'oci' : 'v2s2',
      `oci:${layout}`,
      `docker://${reference}`,
    ]);
    return reference;
  }

  /** Makes an image of busybox-static with umoci and pushes it. */
  async pushBusybox(repository = 'busybox', tag = 'latest'): Promise<string> {
    return this.push(`${await makeBusyboxLayout(this.dir)}:busybox`, repository, tag);
  }

  /** Stops the server but keeps its directory: the registry is down. */
  async stop(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    this.#child.kill('SIGKILL');
    await once(this.#child, 'exit');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
    rmSync(this.dir, { recursive: true, force: true });
  }
}

/** An OCI layout below `dir` with the image `busybox`: busybox-static, its applets, passwd and group; cmd `/bin/sh`. */
export async function makeBusyboxLayout(dir: string): Promise<string> {
  const layout = join(dir, 'busybox-layout');
  const bundle = join(dir, 'busybox-bundle');
  const image = `${layout}:busybox`;
  rmSync(layout, { recursive: true, force: true });
  await output('umoci', ['init', '--layout', layout]);
  await output('umoci', ['new', '--image', image]);
  await output('umoci', ['unpack', '--image', image, bundle]);
  await fillRootfs(join(bundle, 'rootfs'));
  await output('umoci', ['repack', '--image', image, bundle]);
  await output('umoci', ['config', '--image', image, '--config.cmd', '/bin/sh', '--config.env', 'PATH=/bin']);
  rmSync(bundle, { recursive: true, force: true });
  return layout;
}

async function fillRootfs(rootfs: string): Promise<void> {
  for (const name of ['bin', 'etc', 'tmp', 'root']) mkdirSync(join(rootfs, name), { recursive: true });
  copyFileSync('/bin/busybox', join(rootfs, 'bin/busybox'));
  const applets = (await output('/bin/busybox', ['--list'])).split('\n');
  for (const name of applets) if (name !== 'busybox') symlinkSync('busybox', join(rootfs, 'bin', name));
  writeFileSync(join(rootfs, 'etc/passwd'), 'root:x:0:0:root:/root:/bin/sh\n');
  writeFileSync(join(rootfs, 'etc/group'), 'root:x:0:\n');
}

function configText(
  dir: string,
  port: number,
  { login, tls, ip = '127.0.0.1' }: TestRegistryOptions,
): string {
  const auth = login === undefined ? '' : `auth: {htpasswd: {realm: test, path: ${dir}/htpasswd}}\n`;
  const certificate = tls === true ? `, tls: {certificate: ${dir}/cert.pem, key: ${dir}/key.pem}` : '';
  return (
    `version: 0.1\nlog: {level: error, accesslog: {disabled: true}}\n` +
    `storage: {filesystem: {rootdirectory: ${dir}/data}, delete: {enabled: true}}\n` +
    `${auth}http: {addr: "${ip}:${port}", secret: test${certificate}}\n`
  );
}

/** bcrypt is the only hash docker-registry takes; perl's crypt(3) makes it. */
async function writeHtpasswd(dir: string, { username, password }: { username: string; password: string }) {
  const program = 'print crypt($ARGV[0], "\\$2b\\$05\\$abcdefghijklmnopqrstuu")';
  const hash = await output('perl', ['-e', program, password]);
  writeFileSync(join(dir, 'htpasswd'), `${username}:${hash}\n`);
}

/** A certificate authority (`ca.pem`) and a server certificate (`cert.pem`, `key.pem`) for loopback and `ip`. */
export async function makeCertificate(dir: string, ip = '127.0.0.1'): Promise<void> {
  const openssl = (...args: string[]) => output('openssl', args, { cwd: dir });
  const request = ['req', '-newkey', 'rsa:2048', '-nodes', '-days', '2'];
  await openssl(...request, '-x509', '-subj', '/CN=berth test CA', '-keyout', 'ca.key', '-out', 'ca.pem');
  await openssl(...request, '-subj', '/CN=127.0.0.1', '-keyout', 'key.pem', '-out', 'cert.csr');
  writeFileSync(join(dir, 'san'), `subjectAltName=IP:127.0.0.1,IP:${ip},DNS:localhost\n`);
  const sign = ['x509', '-req', '-in', 'cert.csr', '-CA', 'ca.pem', '-CAkey', 'ca.key', '-CAcreateserial'];
  await openssl(...sign, '-days', '2', '-extfile', 'san', '-out', 'cert.pem');
  readFileSync(join(dir, 'cert.pem'));
}

/** A loopback port nobody listens on right now. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  if (address === null || typeof address === 'string') throw new Error('no port');
  return address.port;
}

async function waitForPort(ip: string, port: number, child: ChildProcess): Promise<void> {
  const isUp = async () => {
    if (child.exitCode !== null) throw new Error(`docker-registry ended with ${child.exitCode}`);
    const socket = connect(port, ip);
    const up = await once(socket, 'connect').then(
      () => true,
      () => false,
    );
    socket.destroy();
    return up;
  };
  await until(isUp, 'docker-registry to answer');
}

import { existsSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { tools } from '../kit/paths.ts';
import { SnapshotterProcess } from './snapshotter-process.ts';

/** What the soci command line keeps where nothing can be configured. */
const fixedRoot = '/var/lib/soci-snapshotter-grpc';
const bin = join(tools, 'soci/bin');

/** soci-snapshotter-grpc of Debian sid with directories of its own, for one registry. */
export class Soci extends SnapshotterProcess {
  readonly cli = join(bin, 'soci');
  readonly #leaveFixedRoot = existsSync(fixedRoot);
  /** What it, and its command line, must trust. */
  readonly env: Readonly<Record<string, string>>;

  constructor(caFile: string) {
    const env = { SSL_CERT_FILE: caFile };
    super('soci', socid, env);
    this.env = env;
  }

  override async [Symbol.asyncDispose](): Promise<void> {
    await super[Symbol.asyncDispose]();
    if (!this.#leaveFixedRoot) rmSync(fixedRoot, { recursive: true, force: true });
  }
}

function socid(dir: string, address: string): [string, ...string[]] {
  const config = join(dir, 'config.toml');
  writeFileSync(config, 'no_prometheus = true\n');
  const flags = ['--address', address, '--config', config, '--root', join(dir, 'root')];
  return [join(bin, 'soci-snapshotter-grpc'), ...flags];
}

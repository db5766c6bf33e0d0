import { createHash, randomBytes } from 'node:crypto';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import type { TestRegistry } from '../kit/registry.ts';
import { dir, file, symlink, type TarMember, tar } from '../kit/tar-builder.ts';

const mib = 1 << 20;

/** Names of images in the registry, 8 to 17 MiB each: shared lower layers, many small files, whiteouts, opaque directories. */
export async function pushImages(registry: TestRegistry): Promise<string[]> {
  const base = [busybox(), bulk('base', 6), small('lib', 600)];
  const images: readonly (readonly [string, readonly Buffer[]])[] = [
    ['base', base],
    ['app', [...base, bulk('app', 5), whiteouts(), small('app', 300)]],
    ['web', [...base, small('web', 500), bulk('web', 4), whiteouts(), bulk('web2', 3)]],
    ['solo', [busybox(), bulk('solo', 10)]],
  ];
  const references: string[] = [];
  for (const [name, layers] of images) {
    const layout = join(registry.dir, `layout-${name}`);
    writeLayout(layout, layers);
    references.push(await registry.push(layout, name));
  }
  return references;
}

function busybox(): Buffer {
  const program: TarMember = { name: 'bin/busybox', mode: 0o755, data: readFileSync('/bin/busybox') };
  const applets = ['sh', 'sleep', 'cat', 'echo', 'true', 'usleep'].map((name) =>
    symlink(`bin/${name}`, 'busybox'),
  );
  const dirs = ['bin', 'etc', 'tmp', 'lib'].map((name) => dir(name));
  return tar(...dirs, program, ...applets, file('etc/passwd', 'root:x:0:0:root:/root:/bin/sh\n'));
}

/** Bytes that do not get smaller. */
const bulk = (name: string, sizeMiB: number): Buffer =>
  tar(...Array.from({ length: sizeMiB }, (_, i) => file(`lib/${name}-${i}.bin`, randomBytes(mib))));

const small = (name: string, count: number): Buffer =>
  tar(
    dir(`etc/${name}.d`),
    ...Array.from({ length: count }, (_, i) => file(`etc/${name}.d/${i}`, `${name} ${i}`)),
  );

const whiteouts = (): Buffer =>
  tar(file('lib/.wh.base-0.bin'), file('etc/lib.d/.wh..wh..opq'), file('etc/lib.d/new', 'new'));

function writeLayout(path: string, layers: readonly Buffer[]): void {
  mkdirSync(join(path, 'blobs/sha256'), { recursive: true });
  const put = (bytes: Buffer, mediaType: string) => {
    const hex = createHash('sha256').update(bytes).digest('hex');
    writeFileSync(join(path, 'blobs/sha256', hex), bytes);
    return { mediaType, digest: `sha256:${hex}`, size: bytes.length };
  };
  const json = (value: unknown, kind: string) =>
    put(Buffer.from(JSON.stringify(value)), `application/vnd.oci.image.${kind}.v1+json`);
  const diffIds = layers.map((layer) => `sha256:${createHash('sha256').update(layer).digest('hex')}`);
  const config = json(
    {
      architecture: process.arch === 'arm64' ? 'arm64' : 'amd64',
      os: 'linux',
      config: { Cmd: ['/bin/sh'], Env: ['PATH=/bin'] },
      rootfs: { type: 'layers', diff_ids: diffIds },
    },
    'config',
  );
  const blobs = layers.map((layer) =>
    put(gzipSync(layer, { level: 1 }), 'application/vnd.oci.image.layer.v1.tar+gzip'),
  );
  const manifest = { schemaVersion: 2, mediaType: 'application/vnd.oci.image.manifest.v1+json' };
  const descriptor = json({ ...manifest, config, layers: blobs }, 'manifest');
  writeFileSync(join(path, 'index.json'), JSON.stringify({ schemaVersion: 2, manifests: [descriptor] }));
  writeFileSync(join(path, 'oci-layout'), '{"imageLayoutVersion":"1.0.0"}');
}

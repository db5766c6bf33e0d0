import { createHash } from 'node:crypto';
import { gzipSync } from 'node:zlib';
import type { Random } from '../chaos/random.ts';
import { dir, file, symlink, tar } from '../kit/tar-builder.ts';

/** A blob that both sides may be given. */
export interface Blob {
  readonly ref: string;
  readonly data: Uint8Array<ArrayBuffer>;
  readonly digest: string;
}

const blobOf = (data: Uint8Array<ArrayBuffer>, n: number): Blob => ({
  data,
  ref: refOf(n),
  digest: `sha256:${createHash('sha256').update(data).digest('hex')}`,
});

const layerTar = Buffer.from(
  tar(dir('d'), file('d/f', 'x'.repeat(3000)), symlink('l', 'd/f'), file('.wh.gone')),
);

/** Blobs that are layers. */
export const layerBlobs = [
  { ...blobOf(layerTar, 6), mediaType: 'application/vnd.oci.image.layer.v1.tar' },
  { ...blobOf(gzipSync(layerTar), 7), mediaType: 'application/vnd.oci.image.layer.v1.tar+gzip' },
] as const;

const blobs: readonly Blob[] = [
  ...Array.from({ length: 6 }, (_, n) => blobOf(Buffer.from(`blob ${n} `.repeat(1 + n * n * 7)), n)),
  ...layerBlobs,
];

/** The ingest of a blob: always the same, so that its total is. */
function refOf(n: number): string {
  return n === 0 ? 'a/b ü' : `ref-${n}`;
}

/** Total of an ingest by its ref. */
export const sizeByRef: ReadonlyMap<string, bigint> = new Map(
  blobs.map(({ data }, n) => [refOf(n), BigInt(data.length)]),
);

/** All extensions that containers have. */
export const extensionKeys = ['x', 'y', 'a.b'];

const series = (prefix: string, count: number): string[] =>
  Array.from({ length: count }, (_, n) => `${prefix}${n}`);

/** Few names, so that calls meet what others made. */
const names = {
  /** Where calls are made; all of them are there from the beginning. */
  namespace: ['alpha', 'beta', 'gamma'],
  /** Made and deleted, and never called in. */
  record: ['delta', 'epsilon', 'zeta'],
  container: series('c', 6),
  image: ['example.com/a:1', 'example.com/a:2', 'b', 'local/ü:x', 'example.com/c@sha256:00'],
  lease: series('lease', 4),
  ref: blobs.map((_, n) => refOf(n)),
  snapshot: series('s', 8),
  sandbox: series('pod', 3),
  mount: series('m', 4),
  /** Containers that run: the last one ends by itself. */
  task: series('t', 3),
  /** Further processes of those: the last one ends by itself. */
  exec: series('e', 2),
} as const satisfies Record<string, readonly string[]>;

const labelKeys = ['a', 'b', 'a.b', 'x y', 'containerd.io/gc.root', 'ü', 'Upper/Case'];
const labelValues = ['1', '2', 'a b', '', '"quoted"', 'ü', '1.5', 'true'];

/** Where the values of calls come from: seeded, the same for both sides. */
export class World {
  readonly random: Random;
  readonly blobs = blobs;

  constructor(random: Random) {
    this.random = random;
  }

  name(of: keyof typeof names): string {
    return this.random.pick<string>(names[of]);
  }

  blob(): Blob {
    return this.random.pick(blobs);
  }

  chance(share: number): boolean {
    return this.random.next() < share;
  }

  /** Up to three labels, some of them references of the garbage collector. */
  labels(): Record<string, string> {
    const labels: Record<string, string> = {};
    for (let n = this.random.between(0, 3); n > 0; n--) {
      if (this.chance(0.15)) labels[`containerd.io/gc.ref.content.${n}`] = this.blob().digest;
      else if (this.chance(0.1)) labels['containerd.io/gc.ref.snapshot.native'] = this.name('snapshot');
      else labels[this.random.pick(labelKeys)] = this.random.pick(labelValues);
    }
    return labels;
  }

  /** Paths of a field mask: usually none, else of those given and labels. */
  mask(paths: readonly string[]): { updateMask?: { paths: string[] } } {
    if (this.chance(0.4)) return {};
    const all = [...paths, 'labels', ...labelKeys.map((key) => `labels.${key}`)];
    return {
      updateMask: { paths: Array.from({ length: this.random.between(0, 2) }, () => this.random.pick(all)) },
    };
  }

  /** Filters over `fields` whose values are among `values`, a few of them malformed. */
  filters(fields: readonly string[], values: readonly string[]): string[] {
    if (this.chance(0.3)) return [];
    return Array.from({ length: this.random.between(1, 2) }, () => this.#filter(fields, values));
  }

  #filter(fields: readonly string[], values: readonly string[]): string {
    const parts = Array.from({ length: this.random.between(1, 2) }, () => this.#selector(fields, values));
    const text = parts.join(',');
    if (!this.chance(0.2)) return text;
    const at = this.random.between(0, text.length);
    return (
      text.slice(0, at) +
      this.random.pick(['"', ',', '=', '~', '.', ' ', '', '/', '\\', 'ü']) +
      text.slice(at + 1)
    );
  }

  #selector(fields: readonly string[], values: readonly string[]): string {
    const { random } = this;
    const key = random.pick(labelKeys);
    const label =
      /^[a-z.]+$/.test(key) && this.chance(0.5) ? `labels.${key}` : `labels.${JSON.stringify(key)}`;
    const field = this.chance(0.4) ? label : random.pick([...fields, 'nothing']);
    const value = random.pick([...values, ...labelValues]);
    const shown = /^[\w.:-]+$/.test(value) && this.chance(0.5) ? value : JSON.stringify(value);
    return random.pick([
      field,
      `${field}==${shown}`,
      `${field}!=${shown}`,
      `${field}~=${random.pick(patterns)}`,
    ]);
  }
}

const patterns = ['^c[0-2]$', '"a|b"', '/ex.*:1/', '.', '"^$"', '|[0-9]+|', '"\\\\d"'];

/** Names of one kind, for filters. */
export const namesOf = (kind: keyof typeof names): readonly string[] => names[kind];

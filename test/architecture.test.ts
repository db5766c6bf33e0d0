import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { test } from 'node:test';

const src = resolve(import.meta.dirname, '../src');

/** Module → modules it may import; itself is always allowed. See docs/architecture.md. */
const mayImport: Record<string, readonly string[]> = {
  errors: [],
  async: ['errors'],
  sys: ['errors'],
  oci: ['errors'],
  rpc: ['errors', 'async', 'sys', 'gen'],
  events: ['errors', 'async', 'oci', 'gen'],
  content: ['errors', 'async', 'oci'],
  layers: ['errors', 'async', 'sys', 'oci'],
  paths: ['errors', 'sys', 'layers'],
  snapshots: ['errors', 'async', 'sys', 'oci', 'layers'],
  mounts: ['errors', 'async', 'sys', 'oci'],
  metadata: ['errors', 'async', 'oci', 'gen', 'events', 'content', 'snapshots', 'mounts'],
  registry: ['errors', 'async', 'sys', 'oci'],
  transfer: [
    'errors',
    'async',
    'sys',
    'oci',
    'events',
    'content',
    'layers',
    'paths',
    'snapshots',
    'metadata',
    'registry',
  ],
  containers: ['errors', 'async', 'sys', 'oci', 'events', 'content', 'snapshots', 'metadata'],
  storage: ['errors', 'async', 'sys', 'oci', 'content', 'snapshots', 'metadata', 'containers'],
  shim: ['errors', 'async', 'sys', 'rpc', 'gen'],
  runtime: ['errors', 'async', 'sys', 'oci', 'events', 'mounts', 'metadata', 'rpc', 'gen'],
  services: [
    'errors',
    'async',
    'oci',
    'rpc',
    'gen',
    'events',
    'content',
    'layers',
    'snapshots',
    'mounts',
    'metadata',
    'registry',
    'transfer',
    'containers',
    'runtime',
    'storage',
  ],
  daemon: [
    'client',
    'errors',
    'async',
    'sys',
    'oci',
    'rpc',
    'gen',
    'events',
    'content',
    'layers',
    'snapshots',
    'mounts',
    'metadata',
    'registry',
    'transfer',
    'containers',
    'runtime',
    'storage',
    'services',
  ],
  client: ['errors', 'rpc', 'gen', 'oci'],
  cli: ['client', 'errors', 'oci', 'paths'],
  gen: [],
};

/** The client speaks the same contracts: it may import their types from anywhere, but no code. */
const typesFromAnywhere = new Set(['client']);

/** Import specifier → the only places that may use it. */
const doors: readonly [RegExp, readonly string[]][] = [
  [/^koffi$/, ['sys/ffi.ts']],
  [/^node:sqlite$/, ['metadata/db.ts']],
  [/^@grpc\//, ['rpc/']],
  [/^node:child_process$/, ['shim/', 'runtime/', 'cri/network/', 'policy/', 'cli/credential-helper.ts']],
];
const processDoor = /\bprocess\.(env|exit)\b/;
const mayUseProcess = ['daemon/', 'cli/', 'shim/'];
/** Implementation folders are known to the composition root and to tests only. */
const implementations = /^(content\/local|snapshots\/(overlayfs|native))\//;

interface Source {
  readonly path: string;
  readonly text: string;
}

function violations(files: readonly Source[]): string[] {
  return [...files.flatMap(fileViolations), ...cycles(files)];
}

function fileViolations({ path, text }: Source): string[] {
  const found = importsOf(text).flatMap((i) => importViolations(path, i));
  const code = text.replace(/\/\*[\s\S]*?\*\/|^\s*\/\/.*$/gm, '');
  if (processDoor.test(code) && !isTest(path) && !mayUseProcess.some((p) => path.startsWith(p))) {
    found.push(`${path}: process.env and process.exit belong to ${mayUseProcess.join(', ')}`);
  }
  return found;
}

function importViolations(path: string, { specifier, typeOnly }: Import): string[] {
  for (const [pattern, places] of doors) {
    if (pattern.test(specifier) && !isTest(path) && !places.some((p) => path.startsWith(p)))
      return [`${path}: ${specifier} only in ${places.join(', ')}`];
  }
  if (!specifier.startsWith('.')) return [];
  const target = relative(src, resolve(src, dirname(path), specifier));
  if (target.startsWith('..')) return isTest(path) ? [] : [`${path}: imports ${specifier} outside src/`];
  const [from, to] = [moduleOf(path), moduleOf(target)];
  if (
    implementations.test(target) &&
    dirname(target) !== dirname(path) &&
    path !== 'daemon/compose.ts' &&
    !isTest(path)
  ) {
    return [`${path}: ${target} is an implementation: only daemon/compose.ts and tests may import it`];
  }
  if (from === to || (isTest(path) && from !== 'gen') || (typeOnly && typesFromAnywhere.has(from))) return [];
  return mayImport[from]?.includes(to) ? [] : [`${path}: ${from} may not import ${to} (${specifier})`];
}

interface Import {
  readonly specifier: string;
  readonly typeOnly: boolean;
}

function importsOf(text: string): Import[] {
  const pattern =
    /\b(import|export)\s+(type\s)?[^'"`;]*?\bfrom\s*['"]([^'"]+)['"]|\bimport\s*\(?\s*['"]([^'"]+)['"]|new URL\(\s*['"](\.[^'"]+\.[jt]s)['"]/g;
  return [...text.matchAll(pattern)].map((m) => ({
    specifier: m[3] ?? m[4] ?? m[5] ?? '',
    typeOnly: m[2] !== undefined,
  }));
}

const moduleOf = (path: string): string => path.split('/')[0] ?? '';
const isTest = (path: string): boolean => /\.(test|suite)\.ts$/.test(path);

/** Cycles of value imports between files. */
function cycles(files: readonly Source[]): string[] {
  const graph = new Map(
    files.map((f) => [
      f.path,
      importsOf(f.text)
        .filter((i) => !i.typeOnly && i.specifier.startsWith('.'))
        .map((i) => relative(src, resolve(src, dirname(f.path), i.specifier))),
    ]),
  );
  const state = new Map<string, 'open' | 'done'>();
  const found: string[] = [];
  const visit = (path: string, trail: readonly string[]): void => {
    if (state.get(path) === 'open')
      found.push(`import cycle: ${[...trail.slice(trail.indexOf(path)), path].join(' → ')}`);
    if (state.has(path)) return;
    state.set(path, 'open');
    for (const next of graph.get(path) ?? []) visit(next, [...trail, path]);
    state.set(path, 'done');
  };
  for (const path of graph.keys()) visit(path, []);
  return found;
}

function sources(): Source[] {
  return readdirSync(src, { recursive: true, encoding: 'utf8' })
    .filter((path) => path.endsWith('.ts'))
    .map((path) => ({ path, text: readFileSync(join(src, path), 'utf8') }));
}

test('every import follows the module table, the single doors are kept, and nothing is imported in a circle', () => {
  assert.deepEqual(violations(sources()), []);
});

test('every folder of src/ is in the module table', () => {
  const folders = readdirSync(src, { withFileTypes: true })
    .filter((d) => d.isDirectory())
    .map((d) => d.name);
  assert.deepEqual(
    folders.filter((f) => !(f in mayImport)),
    [],
  );
});

test('planted violations are caught', () => {
  const planted: Source[] = [
    { path: 'oci/planted.ts', text: "import { openDatabase } from '../metadata/db.ts';" },
    { path: 'layers/planted.ts', text: "import koffi from 'koffi';" },
    { path: 'content/store-planted.ts', text: 'const root = process.env.ROOT;' },
    { path: 'metadata/planted.ts', text: "import { LocalBlobs } from '../content/local/blobs.ts';" },
    { path: 'async/a.ts', text: "import { b } from './b.ts';" },
    { path: 'async/b.ts', text: "import { a } from './a.ts';" },
  ];
  const found = violations(planted);
  assert.deepEqual(
    found.map((v) => v.split(':')[0]),
    [
      'oci/planted.ts',
      'layers/planted.ts',
      'content/store-planted.ts',
      'metadata/planted.ts',
      'import cycle',
    ],
  );
});

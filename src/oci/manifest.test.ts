import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { digestBytes } from './digest.ts';
import { childrenOf, manifestLimitBytes, parseImageManifest, parseManifest } from './manifest.ts';
import { mediaTypes } from './media-types.ts';

const bytes = (value: unknown): Uint8Array =>
  new TextEncoder().encode(typeof value === 'string' ? value : JSON.stringify(value));
const config = { mediaType: mediaTypes.ociConfig, digest: digestBytes('config'), size: 6 };
const layer = { mediaType: mediaTypes.ociLayerGzip, digest: digestBytes('layer'), size: 5 };
const child = { mediaType: mediaTypes.ociManifest, digest: digestBytes('child'), size: 5 };
const manifest = { schemaVersion: 2, mediaType: mediaTypes.ociManifest, config, layers: [layer] };
const index = { schemaVersion: 2, mediaType: mediaTypes.ociIndex, manifests: [child] };
const refuses = (value: unknown, mediaType?: string) =>
  assert.throws(() => parseManifest(bytes(value), mediaType), { kind: 'invalid_argument' });

test('an image manifest and an index are read with their children', () => {
  assert.deepEqual(childrenOf(parseManifest(bytes(manifest))), [config, layer]);
  assert.deepEqual(childrenOf(parseManifest(bytes(index), mediaTypes.ociIndex)), [child]);
  assert.throws(() => parseImageManifest(bytes(index)), { kind: 'invalid_argument' });
});

test('an OCI manifest without mediaType still works, asked for by type or not', () => {
  const { mediaType: _, ...bare } = manifest;
  assert.equal(parseManifest(bytes(bare)).mediaType, mediaTypes.ociManifest);
  assert.equal(parseManifest(bytes(bare), `${mediaTypes.ociManifest}; charset=utf-8`).kind, 'manifest');
  assert.equal(parseManifest(bytes({ ...bare, mediaType: '' })).mediaType, mediaTypes.ociManifest);
});

test('an index with attestation manifests still works', () => {
  const unknown = { ...child, platform: { os: 'unknown', architecture: 'unknown' } };
  const parsed = parseManifest(bytes({ ...index, manifests: [child, unknown] }));
  assert.equal(childrenOf(parsed)[1]?.platform?.os, 'unknown');
});

test('CVE-2021-41190, CVE-2014-8179: a document with two meanings, or with more behind it, is refused', () => {
  refuses({ ...manifest, manifests: [child] });
  refuses({ ...index, layers: [] });
  refuses({ ...index, config });
  refuses({ ...manifest, manifests: null });
  refuses({ ...manifest, Layers: [] });
  refuses({ ...index, MANIFESTS: [] });
  refuses(`{"layers":[],${JSON.stringify(manifest).slice(1)}`);
  refuses(`{"\\u006cayers":[],${JSON.stringify(manifest).slice(1)}`);
  refuses(`${JSON.stringify(manifest)}{}`);
  refuses(`\ufeff${JSON.stringify(manifest)}`);
});

test('CVE-2021-41190: a type that disagrees with the document is refused', () => {
  refuses(manifest, mediaTypes.ociIndex);
  refuses(index, mediaTypes.ociManifest);
  refuses(manifest, mediaTypes.dockerManifest);
  refuses({ ...manifest, mediaType: mediaTypes.ociIndex });
  const { mediaType: _, ...bare } = index;
  refuses(bare, mediaTypes.ociManifest);
  refuses(bare, 'application/json');
});

test('schema 1 is refused by name', () => {
  assert.throws(() => parseManifest(bytes({ schemaVersion: 1, fsLayers: [] })), /schema 1/);
  refuses({ ...manifest, schemaVersion: '2' });
  refuses({ ...manifest, schemaVersion: undefined });
});

const badDigests = ['', 'sha256:', `sha256:${'a'.repeat(63)}`, `sha256:${'A'.repeat(64)}`, 'sha256:../../x'];
const oddDigests = [`md5:${'a'.repeat(32)}`, 5, null, [], {}, [digestBytes('x')], `${digestBytes('x')}\n`];
const badSizes = [-1, '5', 2 ** 53, 1.5, null, [], true];

for (const digest of [...badDigests, ...oddDigests])
  test(`CVE-2026-95839: digest ${JSON.stringify(digest)} is refused in every descriptor slot`, () => {
    everySlot({ ...child, digest });
  });

for (const size of badSizes)
  test(`CVE-2026-95839: size ${JSON.stringify(size)} is refused in every descriptor slot`, () => {
    everySlot({ ...child, size });
  });

for (const odd of [null, 'x', 5, [], { ...child, mediaType: 5 }, { ...child, mediaType: '' }])
  test(`the descriptor ${JSON.stringify(odd)?.slice(0, 30)} is refused in every slot`, () => {
    if (odd !== null) refuses({ ...manifest, subject: odd });
    refuses({ ...manifest, config: odd });
    refuses({ ...manifest, layers: [layer, odd] });
    refuses({ ...index, manifests: [odd] });
  });

function everySlot(descriptor: unknown): void {
  refuses({ ...manifest, config: descriptor });
  refuses({ ...manifest, layers: [layer, descriptor] });
  refuses({ ...manifest, subject: descriptor });
  refuses({ ...index, manifests: [descriptor] });
  refuses({ ...index, subject: descriptor });
}

test('sizes that JSON can write and a number cannot hold are refused', () => {
  for (const size of ['1e400', '9223372036854775808', '-0.5'])
    refuses(JSON.stringify(manifest).replace('"size":6', `"size":${size}`));
});

const wrongTypes: [string, unknown][] = [
  ['layers', null],
  ['layers', {}],
  ['layers', 'x'],
  ['annotations', []],
  ['annotations', { a: 1 }],
  ['artifactType', 5],
  ['config', [config]],
];
for (const [field, value] of wrongTypes)
  test(`${field} ${JSON.stringify(value).slice(0, 20)} is refused`, () =>
    refuses({ ...manifest, [field]: value }));

for (const text of ['', 'null', '[]', '5', '"x"', '{', '{}', '{"schemaVersion":2}'])
  test(`the document ${JSON.stringify(text)} is refused`, () => refuses(text));

test('huge, deep or endless documents are refused quickly', () => {
  refuses(`{"schemaVersion":2,"x":${'['.repeat(50_000)}${']'.repeat(50_000)}}`);
  refuses({ ...manifest, layers: Array.from({ length: 1_001 }, () => layer) });
  refuses(`${JSON.stringify(manifest)}${' '.repeat(manifestLimitBytes)}`);
  refuses(Buffer.from([0x7b, 0xff, 0x7d]).toString('latin1'));
});

test('a document with a very long string is read', () => {
  const annotations = { long: '\\"'.repeat(1_000_000) };
  assert.equal(parseManifest(bytes({ ...manifest, annotations })).annotations?.long?.length, 2_000_000);
});

test('security.md §1.6, prototype pollution: keys such as __proto__ are data', () => {
  const text = JSON.stringify(manifest).replace('{', '{"annotations":{"__proto__":"x","constructor":"y"},');
  const { annotations = {} } = parseManifest(bytes(text));
  assert.deepEqual(Object.keys(annotations), ['__proto__', 'constructor']);
  assert.equal(({} as Record<string, unknown>).x, undefined);
  refuses('{"schemaVersion":2,"__proto__":{"config":{},"layers":[]}}');
});

test('any document is either read or refused as invalid', () => {
  const anything = fc.jsonValue({ maxDepth: 3 });
  const slot = fc.constantFrom(
    'config',
    'layers',
    'manifests',
    'subject',
    'annotations',
    'mediaType',
    'schemaVersion',
  );
  fc.assert(
    fc.property(fc.constantFrom(manifest, index), slot, anything, (base, field, value) => {
      try {
        childrenOf(parseManifest(bytes({ ...base, [field]: value })));
      } catch (error) {
        assert.equal((error as { kind?: string }).kind, 'invalid_argument');
      }
    }),
    { numRuns: 300 },
  );
});

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { BerthError } from '../errors/error.ts';
import { isDigest, parseDigest } from './digest.ts';
import { childrenOf, parseManifest } from './manifest.ts';
import { mediaTypes } from './media-types.ts';
import {
  familiarReference,
  formatReference,
  normalizeReference,
  parseFamiliar,
  parseReference,
} from './reference.ts';

const runs = { numRuns: 500, seed: 20_261_122 };
const refusal = (error: unknown): void =>
  assert.ok(error instanceof BerthError && error.kind === 'invalid_argument', String(error));

const hex = fc.stringMatching(/^[0-9a-f]{64}$/);
const nearDigest = fc.oneof(
  hex.map((digits) => `sha256:${digits}`),
  fc
    .tuple(hex, fc.nat(70), fc.string({ maxLength: 2 }))
    .map(([digits, at, odd]) => `sha256:${digits.slice(0, at)}${odd}${digits.slice(at + 1)}`),
  fc.string(),
);

test('what is a digest is one as it stands: nothing of it can lead out of a path or a URL', () => {
  fc.assert(
    fc.property(nearDigest, (text) => {
      if (isDigest(text)) {
        assert.equal(parseDigest(text), text);
        assert.match(text, /^sha256:[0-9a-f]{64}$|^sha512:[0-9a-f]{128}$/);
        assert.equal(new URL(`https://r/v2/a/blobs/${text}`).pathname, `/v2/a/blobs/${text}`);
      } else assert.throws(() => parseDigest(text), refusalOf);
    }),
    runs,
  );
});
const refusalOf = (error: unknown): true => {
  refusal(error);
  return true;
};

const word = fc.oneof(
  fc.constantFrom('a', 'library', 'docker.io', 'localhost', 'R.Example:5000', '[::1]:80', '..', '%2e', ''),
  fc.string(),
);
const nearReference = fc
  .tuple(fc.array(word, { minLength: 1, maxLength: 4 }), fc.option(word), fc.option(nearDigest))
  .map(
    ([path, tag, digest]) =>
      path.join('/') + (tag === null ? '' : `:${tag}`) + (digest === null ? '' : `@${digest}`),
  );

test('a reference that is accepted says the same again, and stays one path of its registry', () => {
  fc.assert(
    fc.property(nearReference, (text) => {
      try {
        const reference = parseReference(text);
        assert.deepEqual(parseReference(formatReference(reference)), reference);
        const url = new URL(`https://r/v2/${reference.path}/manifests/${reference.tag ?? 'x'}`);
        assert.equal(url.pathname, `/v2/${reference.path}/manifests/${reference.tag ?? 'x'}`);
        assert.equal(new URL(`https://${reference.domain}/`).username, '');
      } catch (error) {
        refusal(error);
      }
    }),
    runs,
  );
});

test('what people type means the same in its long and in its short form', () => {
  fc.assert(
    fc.property(nearReference, (text) => {
      try {
        const long = normalizeReference(text);
        assert.equal(normalizeReference(long), long);
        assert.deepEqual(parseFamiliar(familiarReference(parseFamiliar(long))), parseReference(long));
      } catch (error) {
        refusal(error);
      }
    }),
    runs,
  );
});

const descriptor = fc.record(
  {
    mediaType: fc.oneof(fc.constantFrom(...Object.values(mediaTypes)), fc.string()),
    digest: nearDigest,
    size: fc.oneof(fc.nat(), fc.constantFrom(-1, 1e300, '5', null, 2 ** 63)),
    annotations: fc.option(fc.dictionary(fc.string(), fc.oneof(fc.string(), fc.nat()))),
    urls: fc.option(fc.array(fc.string(), { maxLength: 2 })),
    data: fc.option(fc.base64String()),
  },
  { requiredKeys: ['mediaType', 'digest', 'size'] },
);
const document = fc.record(
  {
    schemaVersion: fc.constantFrom(2, 2, 2, 1, '2'),
    mediaType: fc.constantFrom(...Object.values(mediaTypes)),
    config: fc.oneof(descriptor, fc.jsonValue()),
    layers: fc.oneof(fc.array(descriptor, { maxLength: 3 }), fc.jsonValue()),
    manifests: fc.oneof(fc.array(descriptor, { maxLength: 3 }), fc.jsonValue()),
    subject: descriptor,
  },
  { requiredKeys: ['schemaVersion'] },
);

test('a manifest is read with sound descriptors only, or refused; one text has one meaning', () => {
  const wanted = fc.constantFrom(undefined, ...Object.values(mediaTypes));
  fc.assert(
    fc.property(
      fc.oneof(
        document.map((value) => JSON.stringify(value)),
        fc.json(),
        fc.string(),
      ),
      wanted,
      (text, type) => {
        try {
          const parsed = parseManifest(Buffer.from(text), type);
          for (const child of childrenOf(parsed)) {
            assert.ok(isDigest(child.digest) && Number.isSafeInteger(child.size) && child.size >= 0);
          }
          assert.equal(parseManifest(Buffer.from(text)).kind, parsed.kind);
        } catch (error) {
          refusal(error);
        }
      },
    ),
    runs,
  );
});

import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  bareMediaType,
  findLayerCompression,
  isConfigType,
  isIndexType,
  isLayerType,
  isManifestType,
  manifestAccept,
  mediaTypes,
} from './media-types.ts';

test('every type is of at most one kind', () => {
  const kinds = [isManifestType, isIndexType, isConfigType, isLayerType];
  for (const type of Object.values(mediaTypes)) assert.ok(kinds.filter((is) => is(type)).length <= 1, type);
  for (const type of manifestAccept) assert.ok(isManifestType(type) || isIndexType(type), type);
});

test('layers say how they are packed, foreign ones too', () => {
  assert.equal(findLayerCompression(mediaTypes.ociLayer), 'none');
  assert.equal(findLayerCompression(mediaTypes.dockerLayerGzip), 'gzip');
  assert.equal(findLayerCompression(mediaTypes.ociForeignLayerZstd), 'zstd');
  assert.equal(findLayerCompression(mediaTypes.ociConfig), undefined);
});

test('parameters and case do not count', () => {
  assert.equal(bareMediaType('Application/JSON; charset=utf-8'), 'application/json');
  assert.equal(bareMediaType(undefined), '');
});

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseManifest } from '../oci/manifest.ts';
import { mediaTypes } from '../oci/media-types.ts';
import { childLabels } from './labels.ts';

const digestOf = (digit: string): string => `sha256:${digit.repeat(64)}`;
const child = (mediaType: string, digit: string) => ({ mediaType, digest: digestOf(digit), size: 1 });

function labelsOf(document: Record<string, unknown>): Record<string, string> {
  const labels = childLabels(parseManifest(Buffer.from(JSON.stringify({ schemaVersion: 2, ...document }))));
  return Object.fromEntries(Object.entries(labels).map(([key, value]) => [key.slice(29), value.slice(7, 8)]));
}

test('children of a manifest are labelled config and l.N', () => {
  const config = child(mediaTypes.ociConfig, '1');
  const layers = [child(mediaTypes.ociLayerGzip, '2'), child(mediaTypes.ociLayerZstd, '3')];
  assert.deepEqual(labelsOf({ mediaType: mediaTypes.ociManifest, config, layers }), {
    config: '1',
    'l.0': '2',
    'l.1': '3',
  });
});

test('children of an index are labelled m.N, an index in an index N, each counted by itself as in containerd', () => {
  const [manifest, index] = [mediaTypes.ociManifest, mediaTypes.ociIndex];
  const manifests = [child(manifest, '1'), child(index, '2'), child(manifest, '3'), child(index, '4')];
  assert.deepEqual(labelsOf({ mediaType: index, manifests }), { 'm.0': '1', 0: '2', 'm.1': '3', 1: '4' });
});

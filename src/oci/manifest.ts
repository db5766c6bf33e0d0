import { invalidArgument } from '../errors/error.ts';
import type { Descriptor } from './descriptor.ts';
import { descriptorAt } from './descriptor-json.ts';
import {
  arrayAt,
  fieldOf,
  type JsonObject,
  objectAt,
  optional,
  stringAt,
  stringMapAt,
} from './json-fields.ts';
import { bareMediaType, isIndexType, isManifestType, isSchema1Type, mediaTypes } from './media-types.ts';
import { parseStrictJson } from './strict-json.ts';

/** Largest manifest or index that is read, in bytes. */
export const manifestLimitBytes = 8 * 1024 * 1024;
const maxManifests = 10_000;
const maxLayers = 1_000;

/** An image manifest (OCI or Docker schema 2). */
export interface Manifest {
  readonly kind: 'manifest';
  /** Never empty: the document's own, else the one it was asked for as, else OCI's. */
  readonly mediaType: string;
  readonly config: Descriptor;
  /** Base first. */
  readonly layers: readonly Descriptor[];
  readonly artifactType?: string;
  readonly subject?: Descriptor;
  readonly annotations?: Readonly<Record<string, string>>;
}

/** An image index (OCI) or manifest list (Docker). */
export interface Index {
  readonly kind: 'index';
  readonly mediaType: string;
  readonly manifests: readonly Descriptor[];
  readonly artifactType?: string;
  readonly subject?: Descriptor;
  readonly annotations?: Readonly<Record<string, string>>;
}

/**
 * Parses a manifest or an index whose bytes were hashed already. What it is follows from its fields alone, so one
 * digest has one meaning whatever type it is asked for as (CVE-2021-41190).
 * @param mediaType from the descriptor or Content-Type; must agree with the document; may be absent
 * @throws invalid_argument over 8 MiB, not strict JSON, ambiguous, a type that disagrees, any bad descriptor
 */
export function parseManifest(bytes: Uint8Array, mediaType?: string): Manifest | Index {
  const document = objectAt(parseStrictJson(bytes, manifestLimitBytes, 'manifest'), 'manifest');
  const wanted = bareMediaType(mediaType);
  refuseSchema1(document, wanted);
  refuseLookalikes(document);
  return isIndex(document) ? indexOf(document, wanted) : manifestOf(document, wanted);
}

/** As {@link parseManifest}, for a place where only an image manifest will do. @throws invalid_argument */
export function parseImageManifest(bytes: Uint8Array, mediaType?: string): Manifest {
  const parsed = parseManifest(bytes, mediaType);
  if (parsed.kind !== 'manifest')
    throw invalidArgument('manifest: an index where an image manifest is needed');
  return parsed;
}

/** Descriptors that a document points at, in order; `subject` is not among them. */
export const childrenOf = (document: Manifest | Index): readonly Descriptor[] =>
  document.kind === 'index' ? document.manifests : [document.config, ...document.layers];

function isIndex(document: JsonObject): boolean {
  const index = Object.hasOwn(document, 'manifests');
  const manifest = Object.hasOwn(document, 'config') || Object.hasOwn(document, 'layers');
  if (index && manifest)
    throw invalidArgument('manifest: ambiguous, has both manifests and config or layers');
  if (!index && !manifest) throw invalidArgument('manifest: neither an image manifest nor an index');
  return index;
}

function manifestOf(document: JsonObject, wanted: string): Manifest {
  return {
    kind: 'manifest',
    mediaType: typeOf(document, wanted, isManifestType, mediaTypes.ociManifest),
    config: descriptorAt(fieldOf(document, 'config'), 'manifest.config'),
    layers: arrayAt(fieldOf(document, 'layers'), 'manifest.layers', maxLayers).map((layer, i) =>
      descriptorAt(layer, `manifest.layers[${i}]`),
    ),
    ...shared(document, 'manifest'),
  };
}

function indexOf(document: JsonObject, wanted: string): Index {
  return {
    kind: 'index',
    mediaType: typeOf(document, wanted, isIndexType, mediaTypes.ociIndex),
    manifests: arrayAt(fieldOf(document, 'manifests'), 'index.manifests', maxManifests).map((manifest, i) =>
      descriptorAt(manifest, `index.manifests[${i}]`),
    ),
    ...shared(document, 'index'),
  };
}

const shared = (document: JsonObject, path: string) => ({
  ...optional(document, 'artifactType', 'artifactType', stringAt, path),
  ...optional(document, 'subject', 'subject', descriptorAt, path),
  ...optional(document, 'annotations', 'annotations', stringMapAt, path),
});

function typeOf(
  document: JsonObject,
  wanted: string,
  fits: (type: string) => boolean,
  otherwise: string,
): string {
  const own = stringAt(fieldOf(document, 'mediaType') ?? '', 'manifest.mediaType');
  if (own !== '' && wanted !== '' && own !== wanted)
    throw invalidArgument(`manifest: says it is ${cut(own)}, expected ${cut(wanted)}`);
  const type = own || wanted || otherwise;
  if (!fits(type)) throw invalidArgument(`manifest: media type ${cut(type)} does not fit its fields`);
  return type;
}

function refuseSchema1(document: JsonObject, wanted: string): void {
  const version = fieldOf(document, 'schemaVersion');
  if (version === 1 || isSchema1Type(wanted) || Object.hasOwn(document, 'fsLayers'))
    throw invalidArgument(
      'manifest: Docker schema 1 is not supported, push the image again with a current client',
    );
  if (version !== 2) throw invalidArgument('manifest: schemaVersion must be 2');
}

const meaningful = new Set([
  'schemaVersion',
  'mediaType',
  'config',
  'layers',
  'manifests',
  'subject',
  'artifactType',
]);
const folded = new Set([...meaningful].map((name) => name.toLowerCase()));

/** Parsers that ignore case would read `Layers` as `layers`: refused, for the same reason as duplicate keys. */
function refuseLookalikes(document: JsonObject): void {
  const odd = Object.keys(document).find((key) => folded.has(key.toLowerCase()) && !meaningful.has(key));
  if (odd !== undefined) throw invalidArgument(`manifest: ambiguous key ${JSON.stringify(odd)}`);
}

const cut = (text: string): string => JSON.stringify(text.slice(0, 100));

import { invalidArgument } from '../errors/error.ts';
import type { Descriptor } from './descriptor.ts';
import { parseDigest } from './digest.ts';
import { fieldOf, objectAt, optional, sizeAt, stringAt, stringMapAt, stringsAt } from './json-fields.ts';
import type { Platform } from './platform.ts';
import type { Json } from './strict-json.ts';

const maxUrls = 100;
const maxMediaTypeLength = 255;

/**
 * A descriptor out of untrusted JSON: every field has its one type, the digest is well-formed (CVE-2026-95839),
 * embedded `data` is ignored. `path` names the slot in errors. @throws invalid_argument
 */
export function descriptorAt(value: Json | undefined, path: string): Descriptor {
  const object = objectAt(value, path);
  return {
    mediaType: mediaTypeAt(fieldOf(object, 'mediaType'), `${path}.mediaType`),
    digest: digestAt(fieldOf(object, 'digest'), `${path}.digest`),
    size: sizeAt(fieldOf(object, 'size'), `${path}.size`),
    ...optional(object, 'annotations', 'annotations', stringMapAt, path),
    ...optional(object, 'urls', 'urls', (urls, at) => stringsAt(urls, at, maxUrls), path),
    ...optional(object, 'platform', 'platform', platformAt, path),
    ...optional(object, 'artifactType', 'artifactType', stringAt, path),
  };
}

/** The digest of a JSON value that must be a string; the error names `path`. @throws invalid_argument */
export function digestAt(value: Json | undefined, path: string): ReturnType<typeof parseDigest> {
  try {
    return parseDigest(value);
  } catch (error) {
    throw invalidArgument(`${path}: ${error instanceof Error ? error.message : 'invalid digest'}`);
  }
}

/** A platform as written, not normalised: absent names are ''. @throws invalid_argument */
export function platformAt(value: Json | undefined, path: string): Platform {
  const object = objectAt(value, path);
  return {
    os: stringAt(fieldOf(object, 'os') ?? '', `${path}.os`),
    architecture: stringAt(fieldOf(object, 'architecture') ?? '', `${path}.architecture`),
    ...optional(object, 'variant', 'variant', stringAt, path),
    ...optional(object, 'os.version', 'osVersion', stringAt, path),
    ...optional(object, 'os.features', 'osFeatures', (v, at) => stringsAt(v, at, 100), path),
  };
}

function mediaTypeAt(value: Json | undefined, path: string): string {
  const text = stringAt(value, path);
  if (text === '' || text.length > maxMediaTypeLength)
    throw invalidArgument(`${path}: empty or over 255 characters`);
  return text;
}

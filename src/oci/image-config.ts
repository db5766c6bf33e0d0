import { invalidArgument } from '../errors/error.ts';
import { digestAt, platformAt } from './descriptor-json.ts';
import type { DiffId } from './digest.ts';
import {
  arrayAt,
  booleanAt,
  fieldOf,
  type JsonObject,
  objectAt,
  optional,
  stringAt,
  stringMapAt,
  stringsAt,
} from './json-fields.ts';
import type { Platform } from './platform.ts';
import { type Json, parseStrictJson } from './strict-json.ts';

/** Largest image config that is read, in bytes. */
export const configLimitBytes = 8 * 1024 * 1024;
const maxLayers = 1_000;
const maxHistory = 10_000;
const maxStrings = 10_000;

/** What an image says about itself (image-spec config.md; Docker's format is read the same way). */
export interface ImageConfig {
  /** As written; normalise before comparing. */
  readonly platform: Platform;
  readonly created?: string;
  readonly author?: string;
  /** Digests of the uncompressed layers, base first. */
  readonly diffIds: readonly DiffId[];
  readonly history: readonly ImageHistory[];
  /** Defaults for a container; empty where the image has none. */
  readonly process: ImageProcess;
}

export interface ImageHistory {
  readonly created?: string;
  readonly createdBy?: string;
  readonly comment?: string;
  /** The step changed no files and has no layer. */
  readonly emptyLayer?: boolean;
}

export interface ImageProcess {
  readonly user: string;
  readonly env: readonly string[];
  readonly entrypoint: readonly string[];
  readonly cmd: readonly string[];
  readonly workingDir: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly stopSignal: string;
  readonly exposedPorts: readonly string[];
  readonly volumes: readonly string[];
}

/**
 * Parses an image config whose bytes were hashed already. Null counts as absent, as Docker writes it.
 * @throws invalid_argument over 8 MiB, not strict JSON, a field of the wrong type, a malformed diff ID
 */
export function parseImageConfig(bytes: Uint8Array): ImageConfig {
  const document = objectAt(parseStrictJson(bytes, configLimitBytes, 'image config'), 'image config');
  const process = fieldOf(document, 'config');
  return {
    platform: platformAt(document, 'image config'),
    ...optional(document, 'created', 'created', stringAt, 'image config'),
    ...optional(document, 'author', 'author', stringAt, 'image config'),
    diffIds: diffIdsOf(document),
    history: historyOf(document),
    process: processOf(process === undefined ? {} : objectAt(process, 'image config.config')),
  };
}

function diffIdsOf(document: JsonObject): DiffId[] {
  const rootfs = objectAt(fieldOf(document, 'rootfs'), 'image config.rootfs');
  const type = stringAt(fieldOf(rootfs, 'type') ?? 'layers', 'image config.rootfs.type');
  if (type !== 'layers')
    throw invalidArgument(`image config: rootfs type ${JSON.stringify(type.slice(0, 100))}`);
  const ids = arrayAt(fieldOf(rootfs, 'diff_ids') ?? [], 'image config.rootfs.diff_ids', maxLayers);
  return ids.map((id, i) => digestAt(id, `image config.rootfs.diff_ids[${i}]`) as DiffId);
}

function historyOf(document: JsonObject): ImageHistory[] {
  const entries = arrayAt(fieldOf(document, 'history') ?? [], 'image config.history', maxHistory);
  return entries.map((entry, i) => historyEntry(entry, `image config.history[${i}]`));
}

function historyEntry(value: Json, path: string): ImageHistory {
  const entry = objectAt(value, path);
  return {
    ...optional(entry, 'created', 'created', stringAt, path),
    ...optional(entry, 'created_by', 'createdBy', stringAt, path),
    ...optional(entry, 'comment', 'comment', stringAt, path),
    ...optional(entry, 'empty_layer', 'emptyLayer', booleanAt, path),
  };
}

function processOf(config: JsonObject): ImageProcess {
  const text = (name: string) => stringAt(fieldOf(config, name) ?? '', `image config.config.${name}`);
  const list = (name: string) =>
    stringsAt(fieldOf(config, name) ?? [], `image config.config.${name}`, maxStrings);
  const keys = (name: string) =>
    Object.keys(objectAt(fieldOf(config, name) ?? {}, `image config.config.${name}`));
  return {
    user: text('User'),
    env: list('Env'),
    entrypoint: list('Entrypoint'),
    cmd: list('Cmd'),
    workingDir: text('WorkingDir'),
    labels: stringMapAt(fieldOf(config, 'Labels') ?? {}, 'image config.config.Labels'),
    stopSignal: text('StopSignal'),
    exposedPorts: keys('ExposedPorts'),
    volumes: keys('Volumes'),
  };
}

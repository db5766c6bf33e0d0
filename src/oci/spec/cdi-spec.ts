import { invalidArgument } from '../../errors/error.ts';
import {
  arrayAt,
  fieldOf,
  type JsonObject,
  objectAt,
  optional,
  sizeAt,
  stringAt,
  stringsAt,
} from '../json-fields.ts';
import type { Json } from '../strict-json.ts';

/**
 * What a vendor says must be done to a container that uses one of his devices: a file of the Container Device Interface
 * (cncf-tags/container-device-interface, SPEC.md 1.0.0). Written by the host's administrator or a driver, never by an image.
 */
export interface CdiSpec {
  /** `vendor/class`. */
  readonly kind: string;
  readonly devices: readonly { readonly name: string; readonly edits: ContainerEdits }[];
  /** For every device of the file. */
  readonly edits: ContainerEdits;
}

export interface ContainerEdits {
  readonly env: readonly string[];
  readonly deviceNodes: readonly DeviceNode[];
  readonly mounts: readonly CdiMount[];
  readonly hooks: readonly CdiHook[];
  readonly additionalGids: readonly number[];
}

/** What is absent is taken from the node on the host. */
export interface DeviceNode {
  readonly path: string;
  readonly hostPath?: string;
  readonly type?: string;
  readonly major?: number;
  readonly minor?: number;
  readonly fileMode?: number;
  /** Of r, w, m. */
  readonly permissions?: string;
  readonly uid?: number;
  readonly gid?: number;
}

export interface CdiMount {
  readonly hostPath: string;
  readonly containerPath: string;
  readonly type?: string;
  readonly options?: readonly string[];
}

export interface CdiHook {
  readonly hookName: string;
  readonly path: string;
  readonly args?: readonly string[];
  readonly env?: readonly string[];
  readonly timeout?: number;
}

const maxEntries = 4096;
const namePattern = /^[A-Za-z0-9][A-Za-z0-9_.:-]{0,254}$/;
const kindPattern = /^[A-Za-z0-9][A-Za-z0-9_.-]{0,254}\/[A-Za-z][A-Za-z0-9_.-]{0,254}$/;

/** Whether a device is named as the interface names them: `vendor/class=name`. */
export function isCdiName(text: string): boolean {
  const [kind = '', name = '', ...rest] = text.split('=');
  return rest.length === 0 && !text.startsWith('/') && kindPattern.test(kind) && namePattern.test(name);
}

/** Checks a file that was read as JSON or YAML. `path`: its name, for errors. @throws invalid_argument */
export function parseCdiSpec(value: Json, path: string): CdiSpec {
  const root = objectAt(value, path);
  const version = stringAt(fieldOf(root, 'cdiVersion'), `${path}: cdiVersion`);
  if (!/^v?(0\.[3-9]\.\d|1\.\d+\.\d+)$/.test(version))
    throw invalidArgument(`${path}: cdiVersion ${version}`);
  const kind = stringAt(fieldOf(root, 'kind'), `${path}: kind`);
  if (!kindPattern.test(kind)) throw invalidArgument(`${path}: kind ${JSON.stringify(kind.slice(0, 100))}`);
  const devices = arrayAt(fieldOf(root, 'devices'), `${path}: devices`, maxEntries).map((device, i) =>
    deviceOf(objectAt(device, `${path}: devices[${i}]`), `${path}: devices[${i}]`),
  );
  return { kind, devices, edits: editsOf(root, path) };
}

function deviceOf(device: JsonObject, path: string) {
  const name = stringAt(fieldOf(device, 'name'), `${path}.name`);
  if (!namePattern.test(name)) throw invalidArgument(`${path}: name ${JSON.stringify(name.slice(0, 100))}`);
  return { name, edits: editsOf(device, path) };
}

function editsOf(holder: JsonObject, path: string): ContainerEdits {
  const edits = objectAt(fieldOf(holder, 'containerEdits') ?? {}, `${path}.containerEdits`);
  for (const name of ['intelRdt', 'netDevices'])
    if (fieldOf(edits, name) !== undefined) throw invalidArgument(`${path}: ${name} is not supported`);
  const all = <T>(name: string, read: (value: JsonObject, path: string) => T): T[] =>
    arrayAt(fieldOf(edits, name) ?? [], `${path}.${name}`, maxEntries).map((entry, i) =>
      read(objectAt(entry, `${path}.${name}[${i}]`), `${path}.${name}[${i}]`),
    );
  const gids = arrayAt(fieldOf(edits, 'additionalGids') ?? [], `${path}.additionalGids`, maxEntries);
  return {
    env: stringsAt(fieldOf(edits, 'env') ?? [], `${path}.env`, maxEntries).map((text) =>
      variable(text, path),
    ),
    deviceNodes: all('deviceNodes', nodeOf),
    mounts: all('mounts', mountOf),
    hooks: all('hooks', hookOf),
    additionalGids: gids
      .map((gid, i) => sizeAt(gid, `${path}.additionalGids[${i}]`))
      .filter((gid) => gid > 0),
  };
}

function variable(text: string, path: string): string {
  if (/^[^=\0]+=[^\0]*$/.test(text)) return text;
  throw invalidArgument(`${path}: env ${JSON.stringify(text.slice(0, 100))}`);
}

function nodeOf(node: JsonObject, path: string): DeviceNode {
  const type = optional(node, 'type', 'type', stringAt, path);
  if (!['b', 'c', 'u', undefined].includes(type.type)) throw invalidArgument(`${path}: type ${type.type}`);
  const permissions = optional(node, 'permissions', 'permissions', stringAt, path);
  if (!/^[rwm]{0,3}$/.test(permissions.permissions ?? '')) throw invalidArgument(`${path}: permissions`);
  return {
    path: absolute(node, 'path', path),
    ...(fieldOf(node, 'hostPath') === undefined ? {} : { hostPath: absolute(node, 'hostPath', path) }),
    ...type,
    ...permissions,
    ...optional(node, 'major', 'major', sizeAt, path),
    ...optional(node, 'minor', 'minor', sizeAt, path),
    ...optional(node, 'fileMode', 'fileMode', sizeAt, path),
    ...optional(node, 'uid', 'uid', sizeAt, path),
    ...optional(node, 'gid', 'gid', sizeAt, path),
  };
}

const mountOf = (mount: JsonObject, path: string): CdiMount => ({
  hostPath: stringAt(fieldOf(mount, 'hostPath'), `${path}.hostPath`),
  containerPath: absolute(mount, 'containerPath', path),
  ...optional(mount, 'type', 'type', stringAt, path),
  ...optional(mount, 'options', 'options', (value, at) => stringsAt(value, at, maxEntries), path),
});

const hookNames = ['prestart', 'createRuntime', 'createContainer', 'startContainer', 'poststart', 'poststop'];

function hookOf(hook: JsonObject, path: string): CdiHook {
  const hookName = stringAt(fieldOf(hook, 'hookName'), `${path}.hookName`);
  if (!hookNames.includes(hookName)) throw invalidArgument(`${path}: hook ${hookName.slice(0, 100)}`);
  const strings = (value: Json, at: string) => stringsAt(value, at, maxEntries);
  return {
    hookName,
    path: absolute(hook, 'path', path),
    ...optional(hook, 'args', 'args', strings, path),
    ...optional(hook, 'env', 'env', strings, path),
    ...optional(hook, 'timeout', 'timeout', sizeAt, path),
  };
}

function absolute(holder: JsonObject, name: string, path: string): string {
  const text = stringAt(fieldOf(holder, name), `${path}.${name}`);
  if (text.startsWith('/') && !text.includes('\0')) return text;
  throw invalidArgument(`${path}: ${name} is not absolute`);
}

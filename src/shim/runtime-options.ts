import { type DescMessage, fromBinary, type MessageShape } from '@bufbuild/protobuf';
import type { Any } from '@bufbuild/protobuf/wkt';
import { invalidArgument } from '../errors/error.ts';
import { CheckpointOptionsSchema, OptionsSchema } from '../gen/containerd/runc/v1/runc_pb.ts';
import { typeNameOf } from '../rpc/any.ts';

/** containerd.runc.v1.Options as kept with a task, defaults filled in by whoever reads them. */
export interface RuntimeOptions {
  readonly binaryName: string;
  readonly root: string;
  readonly systemdCgroup: boolean;
  readonly noPivotRoot: boolean;
  readonly noNewKeyring: boolean;
  readonly ioUid: number;
  readonly ioGid: number;
  readonly criuImagePath: string;
  readonly criuWorkPath: string;
}

const noOptions: RuntimeOptions = {
  binaryName: '',
  root: '',
  systemdCgroup: false,
  noPivotRoot: false,
  noNewKeyring: false,
  ioUid: 0,
  ioGid: 0,
  criuImagePath: '',
  criuWorkPath: '',
};

/** Decodes a task's options. None, or of an empty type, are the defaults. @throws invalid_argument for another type */
export function parseRuntimeOptions(any: Any | undefined): RuntimeOptions {
  const type = typeNameOf(any?.typeUrl ?? '');
  if (any === undefined || type === '') return noOptions;
  if (type !== OptionsSchema.typeName) throw invalidArgument(`runtime options of type ${any.typeUrl}`);
  return pick(any.value);
}

/** containerd.runc.v1.CheckpointOptions. */
export interface CheckpointOptions {
  /** End the container; default: it runs on. */
  readonly exit: boolean;
  readonly openTcp: boolean;
  readonly externalUnixSockets: boolean;
  readonly terminal: boolean;
  readonly fileLocks: boolean;
  /** Namespaces that are made anew, not restored; criu knows `network`. */
  readonly emptyNamespaces: readonly string[];
  /** `soft`, `full`, `strict`, `ignore`; '' is the runtime's choice. */
  readonly cgroupsMode: string;
  /** Where criu works and logs; '' is a directory in the bundle, removed when all went well. */
  readonly workPath: string;
}

/** As {@link parseRuntimeOptions}. @throws invalid_argument */
export function parseCheckpointOptions(any: Any | undefined): CheckpointOptions {
  const type = typeNameOf(any?.typeUrl ?? '');
  if (type !== '' && type !== CheckpointOptionsSchema.typeName)
    throw invalidArgument(`checkpoint options of type ${any?.typeUrl}`);
  return decode(CheckpointOptionsSchema, any?.value ?? new Uint8Array());
}

function pick(bytes: Uint8Array): RuntimeOptions {
  const { $typeName: _, $unknown: __, shimCgroup: ___, ...options } = decode(OptionsSchema, bytes);
  return { ...noOptions, ...options };
}

function decode<T extends DescMessage>(schema: T, bytes: Uint8Array): MessageShape<T> {
  try {
    return fromBinary(schema, bytes);
  } catch (error) {
    throw invalidArgument('runtime options cannot be decoded', error);
  }
}

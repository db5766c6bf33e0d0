import { fromBinary } from '@bufbuild/protobuf';
import type { Any } from '@bufbuild/protobuf/wkt';
import { invalidArgument } from '../errors/error.ts';
import { OptionsSchema } from '../gen/containerd/runc/v1/runc_pb.ts';
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

function pick(bytes: Uint8Array): RuntimeOptions {
  try {
    const { $typeName: _, $unknown: __, shimCgroup: ___, ...options } = fromBinary(OptionsSchema, bytes);
    return { ...noOptions, ...options };
  } catch (error) {
    throw invalidArgument('runtime options cannot be decoded', error);
  }
}

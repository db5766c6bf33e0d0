import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { AnySchema } from '@bufbuild/protobuf/wkt';
import { invalidArgument } from '../../errors/error.ts';
import { RuntimeInfoSchema } from '../../gen/containerd/types/types_pb.ts';
import { runtimeFeatures } from '../runtime-features.ts';
import { parseRuntimeOptions } from '../runtime-options.ts';

const featuresType = 'types.containerd.io/opencontainers/runtime-spec/1/features/Features';

/** What `-info` prints: RuntimeInfo for the options (an Any, or nothing) on standard input. @throws invalid_argument, not_found */
export async function runtimeInfo(input: Uint8Array, version: string): Promise<Uint8Array> {
  const options = input.length === 0 ? undefined : anyOf(input);
  const { program, features } = await runtimeFeatures(parseRuntimeOptions(options).binaryName);
  const info = create(RuntimeInfoSchema, {
    name: 'io.containerd.berth.v2',
    version: { version },
    ...(options === undefined ? {} : { options }),
    ...(features === '' ? {} : { features: { typeUrl: featuresType, value: Buffer.from(features) } }),
    annotations: { 'berth/oci-runtime': program },
  });
  return toBinary(RuntimeInfoSchema, info);
}

function anyOf(bytes: Uint8Array) {
  try {
    return fromBinary(AnySchema, bytes);
  } catch (error) {
    throw invalidArgument('runtime options are no protobuf Any', error);
  }
}

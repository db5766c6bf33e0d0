import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { OptionsSchema } from '../gen/containerd/runc/v1/runc_pb.ts';
import type { Any } from '../oci/any.ts';

const optionsType = 'containerd.runc.v1.Options';

/** Options of a task with the daemon's own OCI runtime filled in where the caller names none; others' options stay as they are. */
export function withDefaultRuntime(options: Any | undefined, binaryName: string): Any | undefined {
  if (binaryName === '') return options;
  if (options !== undefined && !options.typeUrl.endsWith(optionsType)) return options;
  const given = options === undefined ? create(OptionsSchema) : fromBinary(OptionsSchema, options.value);
  if (given.binaryName !== '') return options;
  return { typeUrl: optionsType, value: toBinary(OptionsSchema, { ...given, binaryName }) };
}

/** The program that options name for the OCI runtime, `fallback` where they name none. */
export function runtimeProgram(options: Any | undefined, fallback: string): string {
  if (options === undefined || !options.typeUrl.endsWith(optionsType)) return fallback;
  return fromBinary(OptionsSchema, options.value).binaryName || fallback;
}

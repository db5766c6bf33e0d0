import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import type { Context } from '../async/context.ts';
import { isKind, messageOf, unknown } from '../errors/error.ts';
import {
  type RuntimeInfo,
  RuntimeInfoSchema,
  type RuntimeRequest,
  RuntimeRequestSchema,
} from '../gen/containerd/types/types_pb.ts';
import type { Any } from '../oci/any.ts';
import { toAny } from '../rpc/any.ts';
import type { RuntimeFeatures } from '../rpc/ttrpc-shim.ts';
import type { PluginInfo } from './introspection.ts';

const noPath = 'failed to resolve runtime path';
const featuresType = 'types.containerd.io/opencontainers/runtime-spec/1/features/Features';

/** Whom to ask; the runtime's Tasks is one. */
export interface RuntimeTeller {
  features(ctx: Context, options?: Any): Promise<RuntimeFeatures>;
  /** Bytes of the RuntimeInfo of a shim of others; undefined for berth-shim. */
  foreignInfo(runtimeName: string, options?: Any): Promise<Uint8Array | undefined>;
}

/**
 * What PluginInfo tells beside the plug-in itself: for `io.containerd.runtime.v2`, asked with a RuntimeRequest, the
 * RuntimeInfo that `ctr plugins inspect-runtime` shows. The features are the OCI runtime's own JSON, byte for byte.
 * @throws unknown (no RuntimeRequest, no such runtime), in containerd's words
 */
export function runtimeInfo(tasks: RuntimeTeller, version: string, revision: string) {
  return async (ctx: Context, plugin: PluginInfo, options: Any | undefined): Promise<Any | undefined> => {
    if (options === undefined) return undefined;
    const request = requestOf(options);
    if (plugin.type !== 'io.containerd.runtime.v2') return undefined;
    const name = request.runtimePath;
    if (name === '') throw unknown(`${noPath}: no runtime name`);
    const foreign = await tasks.foreignInfo(name, request.options).catch((error) => {
      throw isKind(error, 'not_found') ? unknown(`${noPath}: ${messageOf(error)}`, error) : error;
    });
    if (foreign !== undefined) return { typeUrl: RuntimeInfoSchema.typeName, value: foreign };
    const { program, features } = await tasks.features(ctx, request.options);
    const info = create(RuntimeInfoSchema, {
      name,
      version: { version, revision },
      ...(request.options === undefined ? {} : { options: request.options }),
      ...(features === ''
        ? {}
        : { features: toAny({ typeUrl: featuresType, value: Buffer.from(features) }) }),
      annotations: { 'berth/oci-runtime': program },
    });
    return anyOf(info);
  };
}

function requestOf({ typeUrl, value }: Any): RuntimeRequest {
  if (!typeUrl.endsWith(RuntimeRequestSchema.typeName))
    throw unknown(
      `failed to unmarshal plugin info Options: type with url ${typeUrl.slice(0, 200)}: not found`,
    );
  try {
    return fromBinary(RuntimeRequestSchema, value);
  } catch (error) {
    throw unknown(
      'failed to unmarshal plugin info Options: proto: cannot parse invalid wire-format data',
      error,
    );
  }
}

const anyOf = (info: RuntimeInfo): Any => ({
  typeUrl: RuntimeInfoSchema.typeName,
  value: toBinary(RuntimeInfoSchema, info),
});

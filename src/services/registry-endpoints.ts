import type { Context } from '../async/context.ts';
import { invalidArgument } from '../errors/error.ts';
import { HTTPDebug, type RegistryResolver } from '../gen/containerd/types/transfer/transfer_pb.ts';
import type { Streams } from '../rpc/streams.ts';
import type { RegistryEndpoint } from '../transfer/registry-endpoint.ts';
import { HttpLog } from './http-log.ts';
import { authStreamCredentials } from './transfer-auth.ts';

/**
 * A place at a registry as clients name it, with the stream that they answer for credentials on, and the one that they
 * read requests from, which ends with `call`.
 * @throws not_found (a stream that was never opened), invalid_argument
 */
export function endpointOf(
  streams: Streams,
  ctx: Context,
  { reference, resolver }: { readonly reference: string; readonly resolver?: RegistryResolver | undefined },
  call?: AsyncDisposableStack,
): RegistryEndpoint {
  return {
    reference,
    headers: resolver?.headers ?? {},
    hostsDir: resolver?.hostDir || undefined,
    defaultScheme: schemeOf(resolver?.defaultScheme ?? ''),
    ...dumpTo(streams, ctx, resolver, call),
    ...(resolver?.authStream && {
      credentials: authStreamCredentials(streams.get(ctx, resolver.authStream)),
    }),
  };
}

/** A client that debugs reads what is asked and answered, for as long as `call` lasts. */
function dumpTo(
  streams: Streams,
  ctx: Context,
  resolver: RegistryResolver | undefined,
  call: AsyncDisposableStack | undefined,
): Pick<RegistryEndpoint, 'dump'> {
  if (!resolver?.logsStream || resolver.httpDebug === HTTPDebug.DISABLED || call === undefined) return {};
  return { dump: call.use(new HttpLog(streams.get(ctx, resolver.logsStream))).write };
}

function schemeOf(scheme: string): 'http' | 'https' | undefined {
  if (scheme === '') return undefined;
  if (scheme === 'http' || scheme === 'https') return scheme;
  throw invalidArgument(`default scheme ${JSON.stringify(scheme)}, allowed: http, https`);
}

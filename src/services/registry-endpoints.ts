import type { Context } from '../async/context.ts';
import { invalidArgument } from '../errors/error.ts';
import type { RegistryResolver } from '../gen/containerd/types/transfer/transfer_pb.ts';
import type { Streams } from '../rpc/streams.ts';
import type { RegistryEndpoint } from '../transfer/registry-endpoint.ts';
import { authStreamCredentials } from './transfer-auth.ts';

/**
 * A place at a registry as clients name it, with the stream that they answer for credentials on.
 * @throws not_found (a stream that was never opened), invalid_argument
 */
export function endpointOf(
  streams: Streams,
  ctx: Context,
  { reference, resolver }: { readonly reference: string; readonly resolver?: RegistryResolver | undefined },
): RegistryEndpoint {
  return {
    reference,
    headers: resolver?.headers ?? {},
    hostsDir: resolver?.hostDir || undefined,
    defaultScheme: schemeOf(resolver?.defaultScheme ?? ''),
    ...(resolver?.authStream && {
      credentials: authStreamCredentials(streams.get(ctx, resolver.authStream)),
    }),
  };
}

function schemeOf(scheme: string): 'http' | 'https' | undefined {
  if (scheme === '') return undefined;
  if (scheme === 'http' || scheme === 'https') return scheme;
  throw invalidArgument(`default scheme ${JSON.stringify(scheme)}, allowed: http, https`);
}

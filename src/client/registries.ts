import {
  type ListReferrersResponse,
  Registries as RegistriesService,
} from '../gen/berth/v1/registries_pb.ts';
import type { Descriptor } from '../oci/descriptor.ts';
import { formatReference, normalizeReference, parseFamiliar } from '../oci/reference.ts';
import type { Connection } from './connection.ts';
import { fromDescriptor } from './convert.ts';
import { openAccess, type RegistryAccess } from './registry-access.ts';

/** Questions to registries; the daemon asks them, with its host configuration. */
export interface Registries {
  /** Whether a registry (`host` or `host:port`) lets us in. @throws unauthenticated, permission_denied, unavailable */
  checkLogin(host: string, access?: RegistryAccess): Promise<void>;
  /** The tags of a repository. @throws not_found, unauthenticated, permission_denied, unavailable */
  tags(repository: string, access?: RegistryAccess): AsyncIterable<string>;
  /** What refers to an image: signatures, attestations, SBOMs. @throws as {@link tags} */
  referrers(
    reference: string,
    options?: RegistryAccess & { readonly artifactType?: string },
  ): Promise<Descriptor[]>;
}

/** The registries that the daemon of the connection can reach. */
export function remoteRegistries(connection: Connection): Registries {
  const service = connection.service(RegistriesService);
  return {
    async checkLogin(host, access = {}) {
      using call = await openCall(connection, access);
      await call.run(service.checkLogin({ host, resolver: call.resolver }, call.options));
    },
    async *tags(name, access = {}) {
      const { domain, path } = parseFamiliar(name);
      const repository = formatReference({ domain, path });
      using call = await openCall(connection, access);
      const pages = service.listTags({ repository, resolver: call.resolver }, call.options);
      for await (const { tags } of call.watch(pages)) yield* tags;
    },
    async referrers(name, { artifactType = '', ...access } = {}) {
      using call = await openCall(connection, access);
      const request = { reference: normalizeReference(name), resolver: call.resolver, artifactType };
      return fromWire(await call.run(service.listReferrers(request, call.options)));
    },
  };
}

/** A call that the daemon may ask credentials for; when they cannot be given it fails with why. */
async function openCall(connection: Connection, access: RegistryAccess) {
  const stop = new AbortController();
  const signal = access.signal === undefined ? stop.signal : AbortSignal.any([access.signal, stop.signal]);
  const failures: unknown[] = [];
  const fail = (error: unknown) => {
    failures.push(error);
    stop.abort();
  };
  const resolver = { ...(await openAccess(connection, access, { signal, fail })) };
  const because = (error: unknown): never => {
    throw failures[0] ?? error;
  };
  return {
    resolver,
    options: connection.stream({ signal }),
    run: <T>(answer: Promise<T>): Promise<T> => answer.catch(because),
    async *watch<T>(answers: AsyncIterable<T>): AsyncGenerator<T, void, void> {
      try {
        yield* answers;
      } catch (error) {
        because(error);
      }
    },
    [Symbol.dispose]: () => stop.abort(),
  };
}

const fromWire = ({ referrers }: ListReferrersResponse): Descriptor[] =>
  referrers.map(({ descriptor, artifactType }) => ({
    ...fromDescriptor(descriptor),
    ...(artifactType !== '' && { artifactType }),
  }));

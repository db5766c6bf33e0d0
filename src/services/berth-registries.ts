import { Registries } from '../gen/berth/v1/registries_pb.ts';
import { bindService, type ServiceBinding } from '../rpc/service.ts';
import type { Streams } from '../rpc/streams.ts';
import { askLogin, askReferrers, askTags } from '../transfer/ask-registry.ts';
import type { TransferParts } from '../transfer/parts.ts';
import { toWireDescriptor } from './descriptor-wire.ts';
import { endpointOf } from './registry-endpoints.ts';

/** berth.v1.Registries: questions to registries, over the wire. */
export function berthRegistriesService(parts: TransferParts, streams: Streams): ServiceBinding {
  return bindService(Registries, {
    async checkLogin({ host, resolver }, ctx) {
      await askLogin(parts, ctx, host, endpointOf(streams, ctx, { reference: host, resolver }));
      return {};
    },
    async *listTags({ repository, resolver }, ctx) {
      const endpoint = endpointOf(streams, ctx, { reference: repository, resolver });
      for await (const tags of askTags(parts, ctx, endpoint)) yield { tags };
    },
    async listReferrers({ reference, resolver, artifactType }, ctx) {
      const endpoint = endpointOf(streams, ctx, { reference, resolver });
      const found = await askReferrers(parts, ctx, endpoint, artifactType === '' ? undefined : artifactType);
      return {
        referrers: found.map((descriptor) => ({
          descriptor: toWireDescriptor(descriptor),
          artifactType: descriptor.artifactType ?? '',
        })),
      };
    },
  });
}

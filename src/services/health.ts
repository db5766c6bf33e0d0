import { once } from 'node:events';
import { notFound } from '../errors/error.ts';
import { Health, HealthCheckResponse_ServingStatus as Status } from '../gen/grpc/health/v1/health_pb.ts';
import { bindService, type ServiceBinding } from '../rpc/service.ts';

/**
 * The standard health service: SERVING from the moment it answers until `draining` fires, then NOT_SERVING.
 * Services are known by the names in `serviceNames`; '' is the daemon as a whole.
 */
export function healthService(serviceNames: readonly string[], draining: AbortSignal): ServiceBinding {
  const known = new Set(['', ...serviceNames]);
  const now = () => ({ status: draining.aborted ? Status.NOT_SERVING : Status.SERVING });
  return bindService(Health, {
    async check({ service }) {
      if (!known.has(service)) throw notFound('unknown service');
      return now();
    },
    async *watch({ service }, ctx) {
      yield known.has(service) ? now() : { status: Status.SERVICE_UNKNOWN };
      if (!draining.aborted) {
        await once(draining, 'abort', { signal: ctx.signal });
        if (known.has(service)) yield now();
      }
      if (!ctx.signal.aborted) await once(ctx.signal, 'abort');
    },
  });
}

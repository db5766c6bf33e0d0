import { Counter, Histogram, type Registry } from 'prom-client';
import type { CallInfo } from '../../rpc/grpc-call.ts';
import type { ServiceBinding } from '../../rpc/service.ts';
import { Code, toStatus } from '../../rpc/status.ts';

/** How gRPC's Prometheus middleware, and with it every dashboard, calls kinds of methods. */
const types = {
  unary: 'unary',
  client_streaming: 'client_stream',
  server_streaming: 'server_stream',
  bidi_streaming: 'bidi_stream',
} as const;

/** Counts calls under the names of gRPC's Prometheus middleware. */
export interface GrpcMeters {
  began(info: CallInfo): void;
  ended(info: CallInfo, failure: unknown, elapsedMs: number): void;
}

/** `isTimed` is asked at each call's end. */
export function grpcMeters(
  registry: Registry,
  services: readonly ServiceBinding[],
  isTimed: () => boolean,
): GrpcMeters {
  const registers = [registry];
  const labelNames = ['grpc_type', 'grpc_service', 'grpc_method'] as const;
  const started = new Counter({
    name: 'grpc_server_started_total',
    help: 'Calls that began',
    labelNames,
    registers,
  });
  const handled = new Counter({
    name: 'grpc_server_handled_total',
    help: 'Calls that ended, by status code',
    labelNames: [...labelNames, 'grpc_code'],
    registers,
  });
  const seconds = new Histogram({
    name: 'grpc_server_handling_seconds',
    help: 'How long calls took',
    labelNames,
    registers,
  });
  const kinds = new Map(
    services.flatMap(({ desc }) =>
      desc.methods.map((method) => [`${desc.typeName}/${method.name}`, types[method.methodKind]] as const),
    ),
  );
  const labelsOf = ({ service, method }: CallInfo) => ({
    grpc_type: kinds.get(`${service}/${method}`) ?? 'unary',
    grpc_service: service,
    grpc_method: method,
  });
  return {
    began: (info) => started.inc(labelsOf(info)),
    ended(info, failure, elapsedMs) {
      const labels = labelsOf(info);
      handled.inc({ ...labels, grpc_code: codeName(failure) });
      if (isTimed()) seconds.observe(labels, elapsedMs / 1000);
    },
  };
}

/** `OK`, `NotFound` …, as Go writes codes. */
function codeName(failure: unknown): string {
  const code = failure === undefined ? Code.ok : toStatus(failure).code;
  if (code === Code.ok) return 'OK';
  if (code === Code.cancelled) return 'Canceled';
  const name = Object.entries(Code).find(([, value]) => value === code)?.[0] ?? 'unknown';
  return name.charAt(0).toUpperCase() + name.slice(1);
}

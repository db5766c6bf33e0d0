import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';
import type { ServiceBinding } from '../../rpc/service.ts';
import { type Finding, type FindingKind, findingKinds } from '../../runtime/reconcile/finding.ts';
import { ContainerMeters, type TaskSource } from './container-meters.ts';
import { type GrpcMeters, grpcMeters } from './grpc-meters.ts';

/** What the counters are about. */
export interface MeterSources extends TaskSource {
  readonly services: readonly ServiceBinding[];
  /** Of the API, and Berth's own. */
  readonly version: string;
  readonly revision: string;
  /** Whether the time of each call is counted. */
  readonly isTimed: () => boolean;
}

/** The counters themselves; only loaded where metrics are served. */
export interface Meters extends GrpcMeters {
  reconciled(findings: readonly Finding[]): void;
  /** A garbage collection, and how long it took when it worked. */
  collected(tookMs: number | undefined): void;
  /** All of it as Prometheus text. */
  text(): Promise<string>;
  readonly contentType: string;
}

export function makeMeters(sources: MeterSources): Meters {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  const registers = [registry];
  new Gauge({
    name: 'containerd_build_info_total',
    help: 'Versions',
    labelNames: ['version', 'revision'],
    registers,
  }).set({ version: sources.version, revision: sources.revision }, 1);
  const collections = new Counter({
    name: 'containerd_gc_collections_total',
    help: 'Garbage collections',
    labelNames: ['status'],
    registers,
  });
  const collecting = new Histogram({
    name: 'containerd_gc_gc_seconds',
    help: 'How long garbage collections took',
    registers,
  });
  const leaks = new Gauge({
    name: 'berth_leaks',
    help: 'What the last reconcile pass found and left alone',
    labelNames: ['kind'],
    registers,
  });
  const repairs = new Counter({
    name: 'berth_repairs_total',
    help: 'What reconcile passes found and put right',
    labelNames: ['kind'],
    registers,
  });
  const passes = new Counter({ name: 'berth_reconcile_passes_total', help: 'Reconcile passes', registers });
  const containers = new ContainerMeters(registry, sources);
  return {
    ...grpcMeters(registry, sources.services, sources.isTimed),
    contentType: registry.contentType,
    async text() {
      await containers.read();
      return registry.metrics();
    },
    collected(tookMs) {
      collections.inc({ status: tookMs === undefined ? 'fail' : 'success' });
      if (tookMs !== undefined) collecting.observe(tookMs / 1000);
    },
    reconciled(findings) {
      const leftOf = (kind: FindingKind) => findings.filter((f) => f.kind === kind && !f.repaired).length;
      for (const kind of findingKinds) leaks.set({ kind }, leftOf(kind));
      for (const { kind } of findings.filter((finding) => finding.repaired)) repairs.inc({ kind });
      passes.inc();
    },
  };
}

import { Counter, collectDefaultMetrics, Gauge, Registry } from 'prom-client';
import { type Finding, type FindingKind, findingKinds } from '../../runtime/reconcile/finding.ts';

/** The counters themselves; only loaded where metrics are served. */
export interface Meters {
  readonly registry: Registry;
  reconciled(findings: readonly Finding[]): void;
}

export function makeMeters(): Meters {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  const registers = [registry];
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
  return {
    registry,
    reconciled(findings) {
      const leftOf = (kind: FindingKind) => findings.filter((f) => f.kind === kind && !f.repaired).length;
      for (const kind of findingKinds) leaks.set({ kind }, leftOf(kind));
      for (const { kind } of findings.filter((finding) => finding.repaired)) repairs.inc({ kind });
      passes.inc();
    },
  };
}

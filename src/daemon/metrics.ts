import { createServer, type Server } from 'node:http';
import type { Log } from '../async/context.ts';
import { messageOf } from '../errors/error.ts';
import { type Finding, type FindingKind, findingKinds } from '../runtime/reconcile/finding.ts';

/** What the daemon counts, as Prometheus text under `/metrics` and containerd's `/v1/metrics`. */
export interface Metrics extends AsyncDisposable {
  /** Where it listens; '' where it does not. */
  readonly address: string;
  /** The result of a reconcile pass. */
  reconciled(findings: readonly Finding[]): void;
}

const noMetrics: Metrics = { address: '', reconciled: () => {}, [Symbol.asyncDispose]: async () => {} };

/**
 * Serves metrics on `host:port`; '' serves none and costs nothing. Anybody who reaches the address may read them.
 * Never throws: a daemon without metrics is better than none.
 */
export async function serveMetrics(address: string, log: Log): Promise<Metrics> {
  if (address === '') return noMetrics;
  try {
    return await listen(address, log);
  } catch (error) {
    log.error({ address, error: messageOf(error) }, 'metrics are not served');
    return noMetrics;
  }
}

async function listen(address: string, log: Log): Promise<Metrics> {
  const { Counter, collectDefaultMetrics, Gauge, Registry } = await import('prom-client');
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
  const server = createServer((request, response) => {
    if (!/^\/(v1\/)?metrics(\?|$)/.test(request.url ?? '')) return void response.writeHead(404).end();
    registry.metrics().then(
      (text) => response.writeHead(200, { 'content-type': registry.contentType }).end(text),
      (error) => response.writeHead(500).end(messageOf(error)),
    );
  });
  await bind(server, address);
  log.info({ address }, 'serving metrics');
  return {
    address,
    reconciled(findings) {
      const leftOf = (kind: FindingKind) => findings.filter((f) => f.kind === kind && !f.repaired).length;
      for (const kind of findingKinds) leaks.set({ kind }, leftOf(kind));
      for (const { kind } of findings.filter((finding) => finding.repaired)) repairs.inc({ kind });
      passes.inc();
    },
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

function bind(server: Server, address: string): Promise<void> {
  const [, host = '', port = ''] = /^(.*):(\d+)$/.exec(address) ?? [];
  return new Promise((resolve, reject) => {
    server.once('error', reject).listen({ host: host.replace(/^\[|\]$/g, ''), port: Number(port) }, resolve);
  });
}

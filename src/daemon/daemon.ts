import { rm } from 'node:fs/promises';
import { type Context, daemonContext, type Log } from '../async/context.ts';
import { QuietTimer } from '../async/quiet.ts';
import { keepHouse } from '../containers/housekeeping.ts';
import { RestartMonitor } from '../containers/restart/restart-monitor.ts';
import type { CallInfo } from '../rpc/grpc-call.ts';
import { GrpcServer } from '../rpc/grpc-server.ts';
import { rawService, TtrpcServer } from '../rpc/ttrpc-server.ts';
import { listenUnix } from '../rpc/unix-listener.ts';
import { ttrpcEventsService } from '../services/ttrpc-events.ts';
import { returnGrownMemory } from '../sys/free-memory.ts';
import { dropStaleLeases } from '../transfer/lease.ts';
import { keepPartialsSmall } from '../transfer/partial-downloads.ts';
import { logCall } from './call-log.ts';
import { compose, type Graph } from './compose.ts';
import type { Config } from './config/config.ts';
import { layoutOf } from './directories.ts';
import { keepReconciled } from './keep-reconciled.ts';
import { serveMetrics } from './metrics.ts';
import { peerOf } from './peer.ts';
import { serviceBindings } from './services.ts';

/** After so long without calls, memory is given back. */
const quietMs = 3000;

/** The daemon as its process sees it: opened, then listening, then closed, once each. */
export class Daemon {
  readonly #graph: Graph;
  readonly #server: GrpcServer;
  readonly #draining: AbortController;
  readonly #quiet: QuietTimer;
  readonly #listening = new AsyncDisposableStack();
  #config: Config;

  private constructor(
    config: Config,
    graph: Graph,
    draining: AbortController,
    server: GrpcServer,
    quiet: QuietTimer,
  ) {
    this.#config = config;
    this.#graph = graph;
    this.#draining = draining;
    this.#server = server;
    this.#quiet = quiet;
  }

  /** Opens the stores and finds the tasks that run. Directories and locks are the caller's. */
  static async open(config: Config, version: string, log: Log): Promise<Daemon> {
    let daemon: Daemon | undefined;
    const layout = layoutOf(config.root, config.state);
    const graph = await compose(() => daemon?.config ?? config, layout, version, log);
    const draining = new AbortController();
    const quiet = new QuietTimer(quietMs, () => void returnGrownMemory());
    const after = (info: CallInfo, failure: unknown, elapsedMs: number): void => {
      quiet.touch();
      logCall(info, failure, elapsedMs);
    };
    const server = new GrpcServer(serviceBindings(graph, version, draining.signal), { log, peerOf, after });
    daemon = new Daemon(config, graph, draining, server, quiet);
    return daemon;
  }

  get config(): Config {
    return this.#config;
  }

  /** Opens the sockets: everything is ready when they answer. */
  async listen(): Promise<void> {
    const { metadata, events, log } = this.#graph;
    const { address, uid, gid } = this.#config;
    await dropStaleLeases(metadata, daemonContext(log));
    const ttrpc = this.#listening.use(
      new TtrpcServer({ services: [rawService(ttrpcEventsService(events))], log }),
    );
    // The locks are held, so what is there belongs to a daemon that is dead.
    await rm(`${address}.ttrpc`, { force: true });
    await ttrpc.listen(`${address}.ttrpc`);
    this.#listening.use(
      await listenUnix(address, (socket) => this.#server.accept(socket), { mode: 0o660, uid, gid }),
    );
    metadata.gc.start();
    void keepPartialsSmall(metadata, daemonContext(log, '', this.#draining.signal), () => ({
      bytes: this.#config.partialDownloadsBytes,
      ageMs: this.#config.partialDownloadsAgeMs,
    }));
    this.#quiet.touch();
    const { tasks, containers } = this.#graph;
    const metrics = this.#listening.use(await serveMetrics(this.#config.metricsAddress, log));
    void keepReconciled(tasks, metrics, this.#config.reconcileIntervalMs, this.#draining.signal);
    void keepHouse(
      {
        containers: metadata.containers,
        namespaces: metadata.namespaces,
        tasks,
        events,
        verbs: containers,
        log,
      },
      this.#draining.signal,
    );
    void this.#restartMonitor().run();
  }

  #restartMonitor(): RestartMonitor {
    const { metadata, tasks, events, containers, log } = this.#graph;
    const { namespaces, snapshotters } = metadata;
    const lock = (ctx: Context, id: string) => containers.lock(ctx, id);
    const intervalMs = () => this.#config.restartIntervalMs;
    const parts = {
      containers: metadata.containers,
      namespaces,
      snapshotters,
      tasks,
      events,
      lock,
      log,
      intervalMs,
    };
    return new RestartMonitor(parts, this.#draining.signal);
  }

  /** No new calls; running ones get `graceMs` to end; containers go on. */
  async close(graceMs: number): Promise<void> {
    this.#draining.abort();
    this.#quiet[Symbol.dispose]();
    await this.#server.close(graceMs);
    await this.#listening.disposeAsync();
    await this.#graph[Symbol.asyncDispose]();
  }

  /** Takes over the settings that may change while running. */
  reconfigure(config: Config): void {
    this.#config = config;
    this.#graph.transfers.downloads.resize(config.maxConcurrentDownloads);
  }
}

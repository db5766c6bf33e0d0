import { chown, rm } from 'node:fs/promises';
import { type Context, daemonContext, type Log } from '../async/context.ts';
import { GrownMemory } from '../async/grown-memory.ts';
import { QuietTimer } from '../async/quiet.ts';
import { keepHouse } from '../containers/housekeeping.ts';
import { RestartMonitor } from '../containers/restart/restart-monitor.ts';
import { messageOf } from '../errors/error.ts';
import type { CallInfo } from '../rpc/grpc-call.ts';
import { GrpcServer } from '../rpc/grpc-server.ts';
import { rawService, TtrpcServer } from '../rpc/ttrpc-server.ts';
import { listenUnix } from '../rpc/unix-listener.ts';
import { ttrpcEventsService } from '../services/ttrpc-events.ts';
import { returnFreeMemory } from '../sys/free-memory.ts';
import { dropStaleLeases } from '../transfer/lease.ts';
import { keepPartialsSmall } from '../transfer/partial-downloads.ts';
import { apiVersion } from './api-version.ts';
import { logCall } from './call-log.ts';
import { compose, type Graph } from './compose.ts';
import { ttrpcAddress } from './config/derived.ts';
import { DebugServer, type DebugSource } from './debug/debug-server.ts';
import { dumpText } from './debug/dump.ts';
import { RunningCalls } from './debug/running-calls.ts';
import { layoutOf } from './directories.ts';
import { keepReconciled } from './keep-reconciled.ts';
import { Metrics } from './metrics/metrics.ts';
import { peerOf } from './peer.ts';
import type { LivePart, RunningConfig } from './running-config.ts';
import { serviceBindings } from './services.ts';
import { openTracing } from './tracing/open-tracing.ts';

/** After so long without calls, memory is given back. */
const quietMs = 3000;

/** The daemon as its process sees it: opened, then listening, then closed, once each. */
export class Daemon {
  readonly #graph: Graph;
  readonly #server: GrpcServer;
  readonly #draining: AbortController;
  readonly #quiet: QuietTimer;
  readonly #listening = new AsyncDisposableStack();
  readonly #config: RunningConfig;
  readonly #metrics: Metrics;
  readonly #debug: DebugServer;
  readonly #debugSource: DebugSource;

  private constructor(
    config: RunningConfig,
    graph: Graph,
    draining: AbortController,
    server: GrpcServer,
    quiet: QuietTimer,
    metrics: Metrics,
    debug: DebugSource,
  ) {
    this.#config = config;
    this.#graph = graph;
    this.#draining = draining;
    this.#server = server;
    this.#quiet = quiet;
    this.#metrics = this.#listening.use(metrics);
    this.#debug = this.#listening.use(new DebugServer(debug));
    this.#debugSource = debug;
  }

  /** Opens the stores and finds the tasks that run. Directories and locks are the caller's. */
  static async open(config: RunningConfig, version: string, log: Log): Promise<Daemon> {
    const { root, state } = config.current;
    let metrics: Metrics | undefined;
    const collected = (tookMs: number | undefined) => metrics?.collected(tookMs);
    const graph = await compose(() => config.current, layoutOf(root, state), version, log, collected);
    const tracing = await openTracing(process.env, version, log);
    const draining = new AbortController();
    const memory = new GrownMemory(() => {
      graph.metadata.db.releaseMemory();
      graph.metadata.containers.releaseMemory();
      return returnFreeMemory();
    });
    const quiet = new QuietTimer(quietMs, () => void memory.giveBack());
    const calls = new RunningCalls();
    const after = (info: CallInfo, failure: unknown, elapsedMs: number): void => {
      calls.ended(info);
      metrics?.ended(info, failure, elapsedMs);
      quiet.touch();
      logCall(info, failure, elapsedMs);
    };
    const services = serviceBindings(graph, config, version, draining.signal);
    metrics = new Metrics({
      tasks: graph.tasks,
      containers: graph.metadata.containers,
      namespaces: graph.metadata.namespaces,
      log,
      services,
      version: apiVersion,
      revision: `berth-${version}`,
      isTimed: () => config.current.grpcHistogram,
      statsTimeoutMs: () => config.current.statsTimeoutMs,
    });
    const server = new GrpcServer(services, {
      log,
      peerOf,
      span: tracing && ((...call) => tracing.callSpan(...call)),
      logTraceId: () => config.current.logTraceId,
      before: (info) => {
        calls.began(info);
        metrics?.began(info);
      },
      after,
    });
    const daemon = new Daemon(
      config,
      graph,
      draining,
      server,
      quiet,
      metrics,
      debugSource(config, version, calls),
    );
    if (tracing !== undefined) daemon.#listening.use(tracing);
    return daemon;
  }

  /** Opens the sockets: everything is ready when they answer. */
  async listen(): Promise<void> {
    const { metadata, events, log } = this.#graph;
    const config = this.#config.current;
    const { address, uid, gid } = config;
    await dropStaleLeases(metadata, daemonContext(log));
    const ttrpc = this.#listening.use(
      new TtrpcServer({ services: [rawService(ttrpcEventsService(events))], log }),
    );
    // The locks are held, so what is there belongs to a daemon that is dead.
    await rm(ttrpcAddress(config), { force: true });
    await ttrpc.listen(ttrpcAddress(config));
    await chown(ttrpcAddress(config), config.ttrpcUid, config.ttrpcGid);
    this.#listening.use(
      await listenUnix(address, (socket) => this.#server.accept(socket), { mode: 0o660, uid, gid }),
    );
    metadata.gc.start();
    void keepPartialsSmall(metadata, daemonContext(log, '', this.#draining.signal), () => ({
      bytes: this.#config.current.partialDownloadsBytes,
      ageMs: this.#config.current.partialDownloadsAgeMs,
    }));
    this.#quiet.touch();
    const { tasks, containers } = this.#graph;
    await this.#serveExtras();
    const everyMs = () => this.#config.current.reconcileIntervalMs;
    void keepReconciled(tasks, this.#metrics, everyMs, this.#draining.signal);
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
    const { content, images, namespaces, snapshotters } = metadata;
    const lock = (ctx: Context, id: string) => containers.lock(ctx, id);
    const intervalMs = () => this.#config.current.restartIntervalMs;
    const parts = {
      containers: metadata.containers,
      namespaces,
      content,
      images,
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

  /** Told once when records can no longer be made durable; see `Db.onBroken`. */
  onBroken(listener: (error: unknown) => void): void {
    this.#graph.metadata.db.onBroken(listener);
  }

  /** A daemon without metrics or profiles is better than none. */
  async #serveExtras(): Promise<void> {
    const config = this.#config.current;
    const { log } = this.#graph;
    await this.#metrics
      .listen(config.metricsAddress)
      .catch((error) => log.error({ error: messageOf(error) }, 'metrics are not served'));
    await this.#debug
      .listen(config)
      .catch((error) => log.error({ error: messageOf(error) }, 'the debug socket is not served'));
  }

  /** What it is doing, for people. */
  dump(): string {
    return dumpText(this.#debugSource.version, this.#debugSource.calls.list());
  }

  /** What takes new settings over while it runs. */
  get liveParts(): LivePart[] {
    const { transfers } = this.#graph;
    return [
      {
        fields: ['maxConcurrentDownloads'],
        apply: ({ maxConcurrentDownloads }) => transfers.downloads.resize(maxConcurrentDownloads),
      },
      { fields: ['uid', 'gid'], apply: ({ address, uid, gid }) => chown(address, uid, gid) },
      {
        fields: ['ttrpcUid', 'ttrpcGid'],
        apply: (config) => chown(ttrpcAddress(config), config.ttrpcUid, config.ttrpcGid),
      },
      {
        fields: ['debugAddress', 'debugUid', 'debugGid'],
        apply: (config) => this.#debug.listen(config),
      },
      { fields: ['metricsAddress'], apply: ({ metricsAddress }) => this.#metrics.listen(metricsAddress) },
    ];
  }
}

const debugSource = (config: RunningConfig, version: string, calls: RunningCalls): DebugSource => ({
  version,
  calls,
  logLevel: () => config.current.logLevel,
  setLogLevel: (logLevel, signal) => config.change(signal, { logLevel }),
});

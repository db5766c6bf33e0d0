import type { Log } from '../async/context.ts';
import { Connection } from '../client/connection.ts';
import { remoteContent } from '../client/content.ts';
import { remoteDiffer } from '../client/differ.ts';
import { remoteSandboxController } from '../client/sandbox-controller.ts';
import { remoteSnapshotter } from '../client/snapshots.ts';
import type { Blobs } from '../content/blobs.ts';
import { proxyBlobs } from '../content/proxy/proxy-blobs.ts';
import type { SandboxController } from '../runtime/sandbox/controller.ts';
import type { SnapshotDriver } from '../snapshots/driver.ts';
import { proxyDriver } from '../snapshots/proxy/driver.ts';
import type { Differ } from '../transfer/differ.ts';
import type { Config, ProxyPlugin, ProxyType } from './config/config.ts';
import { isEnabled, pluginTypes } from './plugin-choice.ts';

/** Plug-ins in other processes, by the names clients use. Disposing closes the connections. */
export interface Proxies extends Disposable {
  readonly snapshotters: readonly SnapshotDriver[];
  /** Under all content, where one is configured. */
  readonly blobs: Blobs | undefined;
  readonly differs: ReadonlyMap<string, Differ>;
  readonly sandboxers: ReadonlyMap<string, SandboxController>;
}

/** Connects to none: that happens when one is needed, so one that is down or hangs delays only those who use it. */
export function openProxies(config: Config, log: Log): Proxies {
  const { proxyTimeoutMs: timeoutMs } = config;
  const connections = new DisposableStack();
  const open = <T>(wanted: ProxyType, make: (name: string, plugin: ProxyPlugin, to: Connection) => T) =>
    Object.entries(config.proxyPlugins)
      .filter(([name, { type }]) => type === wanted && isEnabled(config, pluginTypes[type], name))
      .map(([name, plugin]): [string, T] => {
        const { address } = plugin;
        const connection = connections.use(new Connection({ address, namespace: 'default', timeoutMs }));
        return [name, make(name, plugin, connection)];
      });
  const snapshotters = open('snapshot', (name, { capabilities, exports }, to) =>
    proxyDriver({ name, snapshotter: remoteSnapshotter(to, name), capabilities, exports, timeoutMs, log }),
  );
  const [content] = open('content', (name, _plugin, to) =>
    proxyBlobs({ name, store: remoteContent(to), timeoutMs, log }),
  );
  return {
    snapshotters: snapshotters.map(([, driver]) => driver),
    blobs: content?.[1],
    differs: new Map(open('diff', (_name, _plugin, to) => remoteDiffer(to))),
    sandboxers: new Map(open('sandbox', (name, _plugin, to) => remoteSandboxController(to, name))),
    [Symbol.dispose]: () => connections.dispose(),
  };
}

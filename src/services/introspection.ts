import { statSync } from 'node:fs';
import type { Context } from '../async/context.ts';
import { invalidArgument, messageOf, notFound } from '../errors/error.ts';
import { type Adapt, compileFilters } from '../events/filters.ts';
import { Introspection } from '../gen/containerd/services/introspection/v1/introspection_pb.ts';
import type { Any } from '../oci/any.ts';
import type { Platform } from '../oci/platform.ts';
import { toAny } from '../rpc/any.ts';
import { bindService, type ServiceBinding } from '../rpc/service.ts';
import { toStatus } from '../rpc/status.ts';
import { toTimestamp } from './wire.ts';

/** One plug-in as clients see it; `type` and `id` are names they look up literally. */
export interface PluginInfo {
  readonly type: string;
  readonly id: string;
  /** Types of plug-ins it builds on. */
  readonly requires?: readonly string[];
  /** Never empty for runtimes, snapshotters and differs: BuildKit takes no others. */
  readonly platforms: readonly Platform[];
  readonly exports?: Readonly<Record<string, string>>;
  readonly capabilities?: readonly string[];
  /** Why it could not start. */
  readonly initError?: unknown;
}

export interface Deprecation {
  readonly id: string;
  readonly message: string;
  readonly lastOccurrence: Date;
}

/** What the service is made from. */
export interface IntrospectionSource {
  /** Of this root directory, kept over restarts. */
  readonly uuid: string;
  plugins(): readonly PluginInfo[];
  deprecations(): readonly Deprecation[];
  /** More about one plug-in, e.g. RuntimeInfo for `io.containerd.runtime.v2` asked with a RuntimeRequest. */
  extra?(ctx: Context, plugin: PluginInfo, options: Any | undefined): Promise<Any | undefined>;
}

/** The Introspection service. */
export function introspectionService(source: IntrospectionSource): ServiceBinding {
  return bindService(Introspection, {
    async plugins({ filters }) {
      const matches = filterOf(filters);
      const found = source.plugins().filter((plugin) => matches(fieldsOf(plugin)));
      return { plugins: found.map(toWire) };
    },
    async server() {
      return {
        uuid: source.uuid,
        pid: BigInt(process.pid),
        pidns: pidNamespace(),
        deprecations: source.deprecations().map(deprecationToWire),
      };
    },
    async pluginInfo({ type, id, options }, ctx) {
      const plugin = source.plugins().find((one) => one.type === type && one.id === id);
      if (plugin === undefined) throw notFound(`plugin ${type}.${id} not found: not found`);
      const extra = await source.extra?.(ctx, plugin, options);
      return { plugin: toWire(plugin), ...(extra === undefined ? {} : { extra: toAny(extra) }) };
    },
  });
}

function filterOf(filters: readonly string[]): ReturnType<typeof compileFilters> {
  try {
    return compileFilters(filters);
  } catch (error) {
    throw invalidArgument(`invalid argument: ${messageOf(error)}: invalid argument`, error);
  }
}

/** Inode of the PID namespace of this process, which never changes. Looked up without a thread: procfs does not block. */
function pidNamespace(): bigint {
  knownPidNamespace ??= statSync('/proc/self/ns/pid', { bigint: true }).ino;
  return knownPidNamespace;
}
let knownPidNamespace: bigint | undefined;

/** As containerd, one value a field; of platforms and capabilities, which are lists, `capabilities.<name>` can be asked. */
const fieldsOf =
  ({ type, id, capabilities = [] }: PluginInfo): Adapt =>
  ([first, ...rest]) => {
    if (first === 'type') return type;
    if (first === 'id') return id;
    const wanted = rest.join('.');
    return first === 'capabilities' && capabilities.includes(wanted) ? wanted : undefined;
  };

const toWire = (plugin: PluginInfo) => ({
  type: plugin.type,
  id: plugin.id,
  requires: [...(plugin.requires ?? [])],
  platforms: plugin.platforms.map(platformToWire),
  exports: { ...plugin.exports },
  capabilities: [...(plugin.capabilities ?? [])],
  ...(plugin.initError === undefined ? {} : { initErr: toStatus(plugin.initError) }),
});

const platformToWire = ({ os, architecture, variant = '', osVersion = '', osFeatures = [] }: Platform) => ({
  os,
  architecture,
  variant,
  osVersion,
  osFeatures: [...osFeatures],
});

const deprecationToWire = ({ id, message, lastOccurrence }: Deprecation) => ({
  id,
  message,
  lastOccurrence: toTimestamp(lastOccurrence),
});

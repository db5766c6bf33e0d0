import { Introspection as IntrospectionService } from '../gen/containerd/services/introspection/v1/introspection_pb.ts';
import { Version } from '../gen/containerd/services/version/v1/version_pb.ts';
import type { Platform } from '../oci/platform.ts';
import type { CallOptions, Connection } from './connection.ts';
import { fromPlatform } from './convert.ts';

/** The release of a daemon; `revision` is the commit it was built from. */
export interface DaemonVersion {
  readonly version: string;
  readonly revision: string;
}

/** One plug-in of the daemon. `initError` is set when it could not start. */
export interface Plugin {
  readonly type: string;
  readonly id: string;
  readonly requires: readonly string[];
  readonly platforms: readonly Platform[];
  readonly exports: Readonly<Record<string, string>>;
  readonly capabilities: readonly string[];
  readonly initError?: string;
}

/** `pidNamespace` is the inode of the daemon's PID namespace. */
export interface ServerInfo {
  readonly uuid: string;
  readonly pid: number;
  readonly pidNamespace: bigint;
  readonly deprecations: readonly { readonly id: string; readonly message: string }[];
}

/** What the daemon says about itself. */
export interface Introspection {
  version(options?: CallOptions): Promise<DaemonVersion>;
  server(options?: CallOptions): Promise<ServerInfo>;
  plugins(filters?: readonly string[], options?: CallOptions): Promise<Plugin[]>;
}

/** What the daemon at the other end says about itself. */
export function remoteIntrospection(connection: Connection): Introspection {
  return {
    async version(options) {
      const response = await connection.service(Version).version({}, connection.unary(options));
      return { version: response.version, revision: response.revision };
    },
    async server(options) {
      const response = await connection.service(IntrospectionService).server({}, connection.unary(options));
      const deprecations = response.deprecations.map(({ id, message }) => ({ id, message }));
      return { uuid: response.uuid, pid: Number(response.pid), pidNamespace: response.pidns, deprecations };
    },
    async plugins(filters = [], options) {
      const service = connection.service(IntrospectionService);
      const response = await service.plugins({ filters: [...filters] }, connection.unary(options));
      return response.plugins.map((plugin) => ({
        type: plugin.type,
        id: plugin.id,
        requires: plugin.requires,
        platforms: plugin.platforms.map(fromPlatform),
        exports: { ...plugin.exports },
        capabilities: plugin.capabilities,
        ...(plugin.initErr === undefined ? {} : { initError: plugin.initErr.message }),
      }));
    },
  };
}

import type { Timestamp } from '@bufbuild/protobuf/wkt';
import type { Context } from '../async/context.ts';
import { Controller } from '../gen/containerd/services/sandbox/v1/sandbox_pb.ts';
import { toAny } from '../rpc/any.ts';
import type { SandboxController } from '../runtime/sandbox/controller.ts';
import type { Connection } from './connection.ts';
import { fromAny, toDate } from './convert.ts';
import { toSandbox } from './sandboxes.ts';

/** The controller that a daemon, or a sandboxer in another process, has under that name. Every call but a wait ends in time. */
export function remoteSandboxController(connection: Connection, sandboxer: string): SandboxController {
  const service = connection.service(Controller);
  const on = (sandboxId: string) => ({ sandboxId, sandboxer });
  const look = ({ signal, namespace }: Context) => connection.unary({ signal, namespace });
  const slow = ({ signal, namespace }: Context) => connection.slow({ signal, namespace });
  return {
    async create(ctx, { sandbox, rootfs, options, netnsPath, annotations }) {
      const mounts = rootfs.map((mount) => ({ ...mount, options: [...mount.options] }));
      const more = options === undefined ? {} : { options: toAny(options) };
      const request = { ...on(sandbox.id), sandbox: toSandbox(sandbox), rootfs: mounts, netnsPath, ...more };
      await service.create({ ...request, annotations: { ...annotations } }, slow(ctx));
    },
    async start(ctx, id) {
      const started = await service.start(on(id), slow(ctx));
      const { pid, labels, address, version, createdAt, spec } = started;
      return {
        pid,
        labels: { ...labels },
        address,
        version,
        createdAt: toDate(createdAt),
        spec: fromAny(spec),
      };
    },
    async platform(ctx, id) {
      const { platform } = await service.platform(on(id), look(ctx));
      const { os = '', architecture = '', variant = '' } = platform ?? {};
      return { os, architecture, variant };
    },
    async stop(ctx, id, timeoutSecs) {
      await service.stop({ ...on(id), timeoutSecs }, slow(ctx));
    },
    async wait({ signal, namespace }, id) {
      const { exitStatus, exitedAt } = await service.wait(on(id), connection.stream({ signal, namespace }));
      return { exitStatus, exitedAt: toDate(exitedAt) };
    },
    async status(ctx, id, verbose) {
      const found = await service.status({ ...on(id), verbose }, look(ctx));
      const { pid, state, info, address, version, extra } = found;
      const [createdAt, exitedAt] = [found.createdAt, found.exitedAt].map(dateOf);
      return { pid, state, info: { ...info }, address, version, createdAt, exitedAt, extra: fromAny(extra) };
    },
    async shutdown(ctx, id) {
      await service.shutdown(on(id), slow(ctx));
    },
    async metrics(ctx, id) {
      const { metrics } = await service.metrics(on(id), look(ctx));
      return metrics && { id: metrics.id, timestamp: toDate(metrics.timestamp), data: fromAny(metrics.data) };
    },
    async update(ctx, id, sandbox, fields) {
      await service.update({ ...on(id), sandbox: toSandbox(sandbox), fields: [...fields] }, slow(ctx));
    },
  };
}

const dateOf = (timestamp: Timestamp | undefined): Date | undefined => timestamp && toDate(timestamp);

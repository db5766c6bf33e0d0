import { invalidArgument, notFound, unknown, wrap } from '../errors/error.ts';
import { Controller } from '../gen/containerd/services/sandbox/v1/sandbox_pb.ts';
import { toAny } from '../rpc/any.ts';
import { bindService, type ServiceBinding } from '../rpc/service.ts';
import type { SandboxController, SandboxStatus } from '../runtime/sandbox/controller.ts';
import { sandboxFromWire } from './sandboxes.ts';
import { toTimestamp } from './wire.ts';

/** The Sandbox Controller service over every sandboxer by name. */
export function sandboxControllersService(
  controllers: ReadonlyMap<string, SandboxController>,
): ServiceBinding {
  const find = (name: string): SandboxController => findController(controllers, name);
  return bindService(Controller, {
    async create({ sandboxId, sandboxer, sandbox: wire, rootfs, options, netnsPath, annotations }, ctx) {
      const controller = find(sandboxer);
      const sandbox = wire === undefined ? nameless(sandboxId, sandboxer) : sandboxFromWire(wire);
      await controller.create(ctx, { sandbox, rootfs, options, netnsPath, annotations });
      return { sandboxId };
    },
    async start({ sandboxId, sandboxer }, ctx) {
      const controller = within(`failed to get sandbox controller for ${JSON.stringify(sandboxer)}`, () =>
        find(sandboxer),
      );
      const started = await controller.start(ctx, sandboxId).catch((error) => {
        throw wrap(error, `failed to start sandbox ${JSON.stringify(sandboxId)}`);
      });
      const { pid, labels, address, version, createdAt, spec } = started;
      const more = spec === undefined ? {} : { spec: toAny(spec) };
      return {
        sandboxId,
        pid,
        labels: { ...labels },
        address,
        version,
        createdAt: toTimestamp(createdAt),
        ...more,
      };
    },
    async platform({ sandboxId, sandboxer }, ctx) {
      return { platform: await find(sandboxer).platform(ctx, sandboxId) };
    },
    async stop({ sandboxId, sandboxer, timeoutSecs }, ctx) {
      await find(sandboxer).stop(ctx, sandboxId, timeoutSecs);
      return {};
    },
    async wait({ sandboxId, sandboxer }, ctx) {
      const { exitStatus, exitedAt } = await find(sandboxer).wait(ctx, sandboxId);
      return { exitStatus, exitedAt: toTimestamp(exitedAt) };
    },
    async status({ sandboxId, sandboxer, verbose }, ctx) {
      return { sandboxId, ...statusToWire(await find(sandboxer).status(ctx, sandboxId, verbose)) };
    },
    async shutdown({ sandboxId, sandboxer }, ctx) {
      await find(sandboxer).shutdown(ctx, sandboxId);
      return {};
    },
    async metrics({ sandboxId, sandboxer }, ctx) {
      const metrics = await find(sandboxer).metrics(ctx, sandboxId);
      if (metrics === undefined) return {};
      const { id, timestamp, data } = metrics;
      return { metrics: { id, timestamp: toTimestamp(timestamp), ...(data && { data: toAny(data) }) } };
    },
    async update({ sandboxId, sandboxer, sandbox, fields }, ctx) {
      const controller = find(sandboxer);
      if (sandbox === undefined) throw unknown('sandbox can not be nil');
      await controller.update(ctx, sandboxId, sandboxFromWire(sandbox), fields);
      return {};
    },
  });
}

function findController(
  controllers: ReadonlyMap<string, SandboxController>,
  name: string,
): SandboxController {
  if (name === '') throw invalidArgument('invalid argument: sandbox controller name can not be empty');
  const found = controllers.get(name);
  if (found === undefined) throw notFound(`not found: failed to get sandbox controller by ${name}`);
  return found;
}

const nameless = (id: string, sandboxer: string) => ({
  id,
  sandboxer,
  runtime: { name: '' },
  labels: {},
  extensions: {},
});

/** Go's zero time, which containerd sends for what has not been. */
const notYet = new Date('0001-01-01T00:00:00Z');

const statusToWire = ({ pid, state, info, address, version, createdAt, exitedAt, extra }: SandboxStatus) => ({
  pid,
  state,
  info: { ...info },
  address,
  version,
  createdAt: toTimestamp(createdAt ?? notYet),
  exitedAt: toTimestamp(exitedAt ?? notYet),
  extra: toAny(extra ?? { typeUrl: '', value: new Uint8Array() }),
});

function within<T>(context: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    throw wrap(error, context);
  }
}

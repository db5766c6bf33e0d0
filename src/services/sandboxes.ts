import { invalidArgument } from '../errors/error.ts';
import { Store } from '../gen/containerd/services/sandbox/v1/sandbox_pb.ts';
import type { Sandbox as WireSandbox } from '../gen/containerd/types/types_pb.ts';
import type { NewSandbox, Sandbox, SandboxStore } from '../metadata/sandbox-store.ts';
import { toAny } from '../rpc/any.ts';
import { bindService, type ServiceBinding } from '../rpc/service.ts';
import { toTimestamp } from './wire.ts';

/** The Sandbox Store service. */
export function sandboxesService(store: SandboxStore): ServiceBinding {
  return bindService(Store, {
    async create({ sandbox }, ctx) {
      return { sandbox: toWire(await store.create(ctx, sandboxFromWire(sandbox))) };
    },
    async update({ sandbox, fields }, ctx) {
      return { sandbox: toWire(await store.update(ctx, sandboxFromWire(sandbox), fields)) };
    },
    async delete({ sandboxId }, ctx) {
      await store.delete(ctx, sandboxId);
      return {};
    },
    async list({ filters }, ctx) {
      return { list: (await store.list(ctx, filters)).map(toWire) };
    },
    async get({ sandboxId }, ctx) {
      return { sandbox: toWire(await store.get(ctx, sandboxId)) };
    },
  });
}

/** One without a runtime ends containerd 2.3.4, so there are no words to keep. @throws invalid_argument */
export function sandboxFromWire(wire: WireSandbox | undefined): NewSandbox {
  if (wire === undefined) throw invalidArgument('sandbox must be set: invalid argument');
  const { sandboxId: id, runtime, spec, labels, extensions, sandboxer } = wire;
  if (runtime === undefined) throw invalidArgument('sandbox.Runtime must be set: invalid argument');
  return {
    id,
    runtime: { name: runtime.name, options: runtime.options },
    spec,
    labels,
    extensions,
    sandboxer,
  };
}

const toWire = ({ id, runtime, spec, extensions, labels, sandboxer, createdAt, updatedAt }: Sandbox) => ({
  sandboxId: id,
  runtime: { name: runtime.name, ...(runtime.options && { options: toAny(runtime.options) }) },
  ...(spec && { spec: toAny(spec) }),
  labels: { ...labels },
  extensions: Object.fromEntries(Object.entries(extensions).map(([key, any]) => [key, toAny(any)])),
  sandboxer,
  createdAt: toTimestamp(createdAt),
  updatedAt: toTimestamp(updatedAt),
});

import type { Context } from '../async/context.ts';
import { failedPrecondition, invalidArgument } from '../errors/error.ts';
import type { Container } from '../metadata/container-store.ts';
import { resourcesFor } from '../oci/spec/resources.ts';
import { specTypeUrl } from '../oci/spec/runtime-spec.ts';
import type { LimitChanges } from './containers.ts';
import { toAny } from './exec-spec.ts';
import type { ContainerParts } from './parts.ts';
import { isAlive } from './task-control.ts';

const resourcesTypeUrl = 'types.containerd.io/opencontainers/runtime-spec/1/LinuxResources';

/** As much of the runtime specification's LinuxResources as changes. */
interface ResourceChanges {
  readonly memory?: { readonly limit: number };
  readonly cpu?: {
    readonly quota?: number;
    readonly period?: number;
    readonly shares?: number;
    readonly cpus?: string;
  };
  readonly pids?: { readonly limit: number };
}

/** First the task, so that what the kernel refuses never gets into the record. See {@link Containers.update}. */
export async function updateLimits(
  ctx: Context,
  { containers, tasks }: ContainerParts,
  id: string,
  limits: LimitChanges,
): Promise<void> {
  const changes = changesOf(limits);
  const container = await containers.get(ctx, id);
  const spec = withChanges(container, changes);
  if (isAlive(await tasks.find(ctx, id))) await tasks.update(ctx, id, toAny(resourcesTypeUrl, changes));
  await containers.update(ctx, { id, spec: toAny(specTypeUrl, spec) }, ['spec']);
}

/** @throws invalid_argument */
function changesOf(limits: LimitChanges): ResourceChanges {
  const { memory, cpu, pids } = resourcesFor(limits, false);
  const { memoryBytes, cpuMillis, pidsLimit, cpuShares, cpusetCpus } = limits;
  const cpuChanges = {
    ...(cpuMillis !== undefined && { quota: cpu?.quota ?? -1, period: cpu?.period ?? 100_000 }),
    ...(cpuShares !== undefined && { shares: checkedShares(cpuShares) }),
    ...(cpusetCpus !== undefined && { cpus: checkedCpus(cpusetCpus) }),
  };
  const changes = {
    ...(memoryBytes !== undefined && { memory: { limit: memory?.limit ?? -1 } }),
    ...(Object.keys(cpuChanges).length > 0 && { cpu: cpuChanges }),
    ...(pidsLimit !== undefined && { pids: { limit: pids?.limit ?? -1 } }),
  };
  if (Object.keys(changes).length === 0) throw invalidArgument('no limit to change');
  return changes;
}

function checkedShares(shares: number): number {
  if (shares === 0) return 1024;
  if (shares >= 2 && shares <= 262_144) return shares;
  throw invalidArgument(`cpu shares ${shares}: want 0 (default) or 2 to 262144`);
}

function checkedCpus(cpus: string): string {
  if (/^\d{1,5}(-\d{1,5})?(,\d{1,5}(-\d{1,5})?){0,1000}$/.test(cpus)) return cpus;
  throw invalidArgument(`cpuset ${JSON.stringify(cpus.slice(0, 100))}: want a list such as 0-3,7`);
}

/** The recorded spec, its other fields as they are. @throws failed_precondition (none that can be read) */
function withChanges({ id, spec }: Container, { memory, cpu, pids }: ResourceChanges): object {
  const recorded = spec?.typeUrl.endsWith(specTypeUrl) === true ? parse(spec.value) : undefined;
  if (recorded === undefined) throw failedPrecondition(`container ${id} has no runtime spec`);
  const resources = recorded.linux?.resources ?? {};
  const merged = {
    ...resources,
    ...(memory && { memory: { ...resources.memory, ...memory } }),
    ...(cpu && { cpu: { ...resources.cpu, ...cpu } }),
    ...(pids && { pids: { ...resources.pids, ...pids } }),
  };
  return { ...recorded, linux: { ...recorded.linux, resources: merged } };
}

interface RecordedSpec {
  readonly linux?: {
    readonly resources?: { readonly memory?: object; readonly cpu?: object; readonly pids?: object };
  };
}

function parse(value: Uint8Array): RecordedSpec | undefined {
  try {
    return JSON.parse(Buffer.from(value).toString('utf8')) as RecordedSpec;
  } catch {
    return undefined; // somebody else's bytes
  }
}

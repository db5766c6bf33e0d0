import type { Context } from '../async/context.ts';
import { invalidArgument } from '../errors/error.ts';
import type { RawMethod, RawService } from './ttrpc-server.ts';

/**
 * What berth-shim answers beside the task API: one shim serves every namespace, keeps its events until they are
 * acknowledged, and tells all its tasks in one call. Payloads are JSON: nobody else speaks it, and both ends are ours.
 */
export const shimServiceName = 'berth.shim.v1.Shim';

/** Directory of all bundles in the state directory, by namespace and id, as containerd lays it out. */
export const bundlesDir = 'io.containerd.runtime.v2.task';

/** The shim's record of a task in its bundle, there from before the task is made until it is deleted. */
export const taskRecordFile = 'shim.json';

/** Which shim this is. */
export interface ShimInfo {
  readonly pid: number;
  /** Made anew by each start of a shim. */
  readonly instance: string;
  /** Grows when this interface changes in a way that an older daemon cannot read. */
  readonly protocol: number;
  readonly version: string;
}

/** One task, in the words of containerd.task.v3.StateResponse. */
export interface ShimTask {
  readonly namespace: string;
  readonly id: string;
  readonly bundle: string;
  readonly pid: number;
  /** containerd.v1.types.Status. */
  readonly status: number;
  readonly stdin: string;
  readonly stdout: string;
  readonly stderr: string;
  readonly terminal: boolean;
  readonly exitStatus: number;
  /** Unix time in milliseconds; absent until it exited. */
  readonly exitedAtMs?: number;
}

/** One event of a task, kept until it is acknowledged. */
export interface ShimEvent {
  /** 1, 2, 3 … within one journal, without gaps, whichever shim tells it. */
  readonly number: number;
  /** Unix time in milliseconds. */
  readonly timestampMs: number;
  readonly namespace: string;
  readonly topic: string;
  readonly typeUrl: string;
  /** The event's bytes in base64. */
  readonly value: string;
}

/** Everything up to `acknowledged` may be forgotten; the answer holds what comes after it, oldest first. */
export interface EventsRequest {
  readonly acknowledged: number;
  /** Answer with nothing after this long without an event. At most 60,000. */
  readonly waitMs: number;
}

/** Events of one journal; none when the wait was over first. */
export interface EventsResponse {
  /** The journal that they are from: it outlives the shim, but not the state directory. */
  readonly instance: string;
  readonly events: readonly ShimEvent[];
}

/** An OCI runtime as it describes itself. */
export interface RuntimeFeatures {
  /** The program that was asked. */
  readonly program: string;
  /** What `PROGRAM features` printed: JSON of runtime-spec's features.md; '' from a runtime that cannot say (crun before 1.9). */
  readonly features: string;
}

/** The private service as functions; the daemon calls it by {@link shimClient}. */
export interface ShimApi {
  info(request: object, ctx: Context): Promise<ShimInfo>;
  /** Tasks of `ctx.namespace`, of all namespaces when that is ''. */
  list(request: object, ctx: Context): Promise<{ tasks: readonly ShimTask[] }>;
  events(request: EventsRequest, ctx: Context): Promise<EventsResponse>;
  /** '' asks the runtime that tasks get when they name none. @throws not_found (no such program) */
  features(request: { readonly program: string }, ctx: Context): Promise<RuntimeFeatures>;
  /**
   * The socket on which calls that name no namespace mean this one: the daemon of others that a shim was started for is
   * given one a namespace. @throws not_implemented (this is a berthd's shim)
   */
  serve(request: { readonly namespace: string }, ctx: Context): Promise<{ readonly path: string }>;
  /** A process's log was moved away: it goes on in a new file at the same path. @throws not_found, invalid_argument */
  reopenLog(request: ProcessName, ctx: Context): Promise<object>;
  /** Ends the shim once changes under way have come to their end; the next one takes its tasks over, which do not notice. */
  retire(request: object, ctx: Context): Promise<object>;
  /** What has been done to end a task, oldest first; none where nobody asked for its end. @throws not_found */
  steps(request: { readonly id: string }, ctx: Context): Promise<{ readonly steps: readonly EndStep[] }>;
}

/** A process of a task in `ctx.namespace`; `execId` is '' for the first one. */
export interface ProcessName {
  readonly id: string;
  readonly execId: string;
}

/** One step on the way to a task's end. */
export interface EndStep {
  /** Unix time in milliseconds. */
  readonly atMs: number;
  /** `signal 15`, `SIGKILL to the container`, … */
  readonly step: string;
  /** '' when it went well. */
  readonly error: string;
}

const methods = [
  'info',
  'list',
  'events',
  'features',
  'serve',
  'reopenLog',
  'retire',
  'steps',
] as const satisfies readonly (keyof ShimApi)[];

/** Serves a {@link ShimApi}. */
export function shimService(api: ShimApi): RawService {
  const served = methods.map((name): [string, RawMethod] => {
    const handler = api[name] as (request: unknown, ctx: Context) => Promise<unknown>;
    return [name, async (payload, ctx) => encode(await handler(decode(payload), ctx))];
  });
  return { name: shimServiceName, methods: new Map(served) };
}

/** What a connection must offer to carry the private service; TtrpcClient does. */
interface Caller {
  call(
    service: string,
    method: string,
    payload: Uint8Array,
    ctx: Context,
    timeoutMs?: number,
  ): Promise<Uint8Array>;
}

/** The private service over a connection. */
export function shimClient(connection: Caller, timeoutMs: number): ShimApi {
  const call = async (method: string, request: object, ctx: Context): Promise<never> =>
    decode(await connection.call(shimServiceName, method, encode(request), ctx, timeoutMs)) as never;
  return {
    info: (request, ctx) => call('info', request, ctx),
    list: (request, ctx) => call('list', request, ctx),
    events: (request, ctx) => call('events', request, ctx),
    features: (request, ctx) => call('features', request, ctx),
    serve: (request, ctx) => call('serve', request, ctx),
    reopenLog: (request, ctx) => call('reopenLog', request, ctx),
    retire: (request, ctx) => call('retire', request, ctx),
    steps: (request, ctx) => call('steps', request, ctx),
  };
}

const encode = (value: unknown): Buffer => Buffer.from(JSON.stringify(value));

function decode(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString());
  } catch (error) {
    throw invalidArgument('shim message is not JSON', error);
  }
}

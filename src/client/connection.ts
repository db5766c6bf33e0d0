import type { DescService } from '@bufbuild/protobuf';
import type { Context } from '../async/context.ts';
import {
  type Channel,
  createClient,
  openChannel,
  type CallOptions as RpcOptions,
  type ServiceClient,
} from '../rpc/grpc-client.ts';

/** What every call takes. */
export interface CallOptions {
  /** Cancels the call, which then fails with the signal's reason. */
  readonly signal?: AbortSignal | undefined;
  /** Fails the call after this many milliseconds. */
  readonly timeoutMs?: number | undefined;
  /** Instead of the client's namespace. */
  readonly namespace?: string | undefined;
  /** Lease (id) that new resources are added to. */
  readonly lease?: string | undefined;
}

/** Options with all defaults filled in. */
export interface ConnectionOptions {
  readonly address: string;
  readonly namespace: string;
  /** Deadline of ordinary calls. */
  readonly timeoutMs: number;
}

/** Calls that start something, unpack or wait for the kernel take this many times longer. */
const slowFactor = 10;

/** One channel to a daemon, its typed services, and the options their calls are made with. */
export class Connection implements Disposable {
  readonly namespace: string;
  readonly #channel: Channel;
  readonly #timeoutMs: number;
  readonly #services = new Map<DescService, unknown>();

  constructor(options: ConnectionOptions) {
    this.namespace = options.namespace;
    this.#timeoutMs = options.timeoutMs;
    this.#channel = openChannel(options.address, { namespace: options.namespace });
  }

  service<S extends DescService>(desc: S): ServiceClient<S> {
    const known = this.#services.get(desc) as ServiceClient<S> | undefined;
    const service = known ?? createClient(desc, this.#channel);
    this.#services.set(desc, service);
    return service;
  }

  /** For calls that the daemon answers by itself. */
  unary(options: CallOptions = {}): RpcOptions {
    return rpcOptions({ ...options, timeoutMs: options.timeoutMs ?? this.#timeoutMs });
  }

  /** For calls that wait for a runtime, a disk or an unpack. */
  slow(options: CallOptions = {}): RpcOptions {
    return this.unary({ ...options, timeoutMs: options.timeoutMs ?? this.#timeoutMs * slowFactor });
  }

  /** For streams and waits: they end when they end. */
  stream(options: CallOptions = {}): RpcOptions {
    return rpcOptions(options);
  }

  /** For the contracts that take a context. */
  context(ctx: Context): RpcOptions {
    return rpcOptions({ signal: ctx.signal, namespace: ctx.namespace, lease: ctx.lease });
  }

  [Symbol.dispose](): void {
    this.#channel[Symbol.dispose]();
  }
}

/** Without what is undefined, which would hide the channel's defaults. */
function rpcOptions({ signal, timeoutMs, namespace, lease }: CallOptions): RpcOptions {
  return {
    ...(signal === undefined ? {} : { signal }),
    ...(timeoutMs === undefined ? {} : { deadlineMs: timeoutMs }),
    ...(namespace === undefined ? {} : { namespace }),
    ...(lease === undefined ? {} : { lease }),
  };
}

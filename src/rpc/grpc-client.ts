import type { DescMessage, DescService, MessageInitShape, MessageShape } from '@bufbuild/protobuf';
import { Client, credentials, setLogger } from '@grpc/grpc-js';
import { maxMessageBytes } from './codec.ts';
import { type Caller, type Cancellable, callerOf } from './grpc-client-calls.ts';
import type { CallOptions } from './grpc-client-options.ts';

export type { CallOptions } from './grpc-client-options.ts';

type Method<K extends string, I extends DescMessage, O extends DescMessage> = {
  methodKind: K;
  input: I;
  output: O;
};

type ClientMethod<M> =
  M extends Method<'unary', infer I, infer O>
    ? (request: MessageInitShape<I>, options?: CallOptions) => Promise<MessageShape<O>>
    : M extends Method<'server_streaming', infer I, infer O>
      ? (request: MessageInitShape<I>, options?: CallOptions) => AsyncIterable<MessageShape<O>>
      : M extends Method<'client_streaming', infer I, infer O>
        ? (requests: AsyncIterable<MessageInitShape<I>>, options?: CallOptions) => Promise<MessageShape<O>>
        : M extends Method<'bidi_streaming', infer I, infer O>
          ? (
              requests: AsyncIterable<MessageInitShape<I>>,
              options?: CallOptions,
            ) => AsyncIterable<MessageShape<O>>
          : never;

/** A service as its callers see it: a function for each method, by generated method name. Errors are BerthErrors. */
export type ServiceClient<S extends DescService> = { [K in keyof S['method']]: ClientMethod<S['method'][K]> };

/** A connection to a server, made when the first call needs it and made again when it breaks. */
export interface Channel extends Disposable {
  /** Absolute path of the server's unix socket. */
  readonly address: string;
  readonly caller: Caller;
}

/**
 * A channel to a unix socket (`/run/berth/berth.sock` or `unix:///run/…`). `defaults` go with every call (namespace).
 * Disposing of it cancels the calls that run and closes the connection.
 */
export function openChannel(address: string, defaults: CallOptions = {}): Channel {
  // It would print to stderr what comes back as the error of a call.
  setLogger({ error() {}, info() {}, debug() {} });
  const path = address.replace(/^unix:(?:\/\/(?=\/))?/, '');
  const client = new Client(`unix:${path}`, credentials.createInsecure(), channelOptions);
  const running = new Set<Cancellable>();
  return {
    address: path,
    caller: { client, defaults, running },
    [Symbol.dispose]() {
      for (const call of running) call.cancel();
      client.close();
    },
  };
}

const channelOptions = {
  'grpc.max_receive_message_length': maxMessageBytes,
  'grpc.max_send_message_length': maxMessageBytes,
  'grpc-node.flow_control_window': 4 * 1024 * 1024,
  'grpc.enable_channelz': 0,
  'grpc.enable_retries': 0,
  'grpc.initial_reconnect_backoff_ms': 100,
  'grpc.max_reconnect_backoff_ms': 2000,
  'grpc.use_local_subchannel_pool': 1,
  'grpc.service_config_disable_resolution': 1,
  'grpc.enable_http_proxy': 0,
};

/** The typed client of a service over a channel. */
export function createClient<S extends DescService>(desc: S, channel: Channel): ServiceClient<S> {
  const methods = desc.methods.map((method) => [method.localName, callerOf(method, channel.caller)]);
  return Object.fromEntries(methods) as ServiceClient<S>;
}

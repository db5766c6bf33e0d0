import { fromBinary } from '@bufbuild/protobuf';
import { AnySchema, timestampNow } from '@bufbuild/protobuf/wkt';
import { daemonContext, silentLog } from '../async/context.ts';
import { invalidArgument } from '../errors/error.ts';
import { Events } from '../gen/containerd/services/events/ttrpc/v1/ttrpc_pb.ts';
import { toAny } from '../rpc/any.ts';
import { connectTtrpc } from '../rpc/ttrpc-client.ts';
import type { Config } from './config/config.ts';
import { ttrpcAddress } from './config/derived.ts';

/** An event as `containerd publish` takes it from shims that know no ttrpc. */
export interface Published {
  /** Where the daemon is. */
  readonly config: Pick<Config, 'address' | 'ttrpcAddress'>;
  readonly namespace: string;
  readonly topic: string;
  /** A protobuf Any. */
  readonly event: Uint8Array;
}

/** Hands an event to a running daemon. @throws invalid_argument (no Any, bad topic), unavailable (no daemon) */
export async function publish({ config, namespace, topic, event }: Published): Promise<void> {
  const envelope = { timestamp: timestampNow(), namespace, topic, event: toAny(anyOf(event)) };
  using client = await connectTtrpc(ttrpcAddress(config));
  await client.service(Events).forward({ envelope }, daemonContext(silentLog, namespace));
}

function anyOf(bytes: Uint8Array) {
  try {
    return fromBinary(AnySchema, bytes);
  } catch (error) {
    throw invalidArgument('event is no protobuf Any', error);
  }
}

import { setTimeout as sleep } from 'node:timers/promises';
import { timestampFromMs } from '@bufbuild/protobuf/wkt';
import { daemonContext, type Log } from '../async/context.ts';
import { isKind, messageOf } from '../errors/error.ts';
import { Events } from '../gen/containerd/services/events/ttrpc/v1/ttrpc_pb.ts';
import { connectTtrpc, type TtrpcClient } from '../rpc/ttrpc-client.ts';
import type { ShimEvent } from '../rpc/ttrpc-shim.ts';
import type { EventLog } from './event-log.ts';

const forwardMs = 5_000;
const waitMs = 60_000;
const maxPauseMs = 2_000;

/**
 * Hands every event to another daemon's ttrpc socket, in order, and keeps them while it is away. One that the daemon
 * refuses is dropped and said. Runs for the life of the shim.
 */
export async function forwardEvents(events: EventLog, address: string, log: Log): Promise<never> {
  const path = address.replace(/^unix:\/\//, '');
  let acknowledged = 0;
  for (let pauseMs = 10; ; pauseMs = Math.min(pauseMs * 2, maxPauseMs)) {
    const next = await events.after(acknowledged, waitMs, new AbortController().signal);
    if (next.length === 0) continue;
    try {
      using client = await connectTtrpc(path);
      pauseMs = 10;
      for (const event of next) {
        await forward(client, event, log);
        acknowledged = event.number;
      }
    } catch (error) {
      log.debug({ error: messageOf(error), acknowledged }, 'events wait for the daemon');
      await sleep(pauseMs);
    }
  }
}

async function forward(client: TtrpcClient, event: ShimEvent, log: Log): Promise<void> {
  const { namespace, topic, typeUrl, value, timestampMs } = event;
  const any = { typeUrl, value: Buffer.from(value, 'base64') };
  const envelope = { timestamp: timestampFromMs(timestampMs), namespace, topic, event: any };
  try {
    await client.service(Events).forward({ envelope }, daemonContext(log, namespace), forwardMs);
  } catch (error) {
    if (isKind(error, 'unavailable') || (error as Error).name === 'TimeoutError') throw error;
    log.error({ topic, namespace, error: messageOf(error) }, 'event was refused');
  }
}

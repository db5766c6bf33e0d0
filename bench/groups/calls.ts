import { Containers } from '../../src/gen/containerd/services/containers/v1/containers_pb.ts';
import { Version } from '../../src/gen/containerd/services/version/v1/version_pb.ts';
import { type Channel, createClient, openChannel } from '../../src/rpc/grpc-client.ts';
import type { Subject } from '../daemons.ts';
import { freshName, type Lab, timedCtr } from '../lab.ts';
import { type Row, sideBySide } from '../stats.ts';

/** What small calls cost. */
export async function* calls(lab: Lab): AsyncGenerator<Row> {
  const version = await sideBySide(lab.quick ? 10 : 40, (side) => timedCtr(lab[side], 'version'));
  yield { figure: '`ctr version`', unit: 'ms', goal: { most: 1 }, ...version };
  const versions = await onOpenConnections(lab, (channel) => {
    const client = createClient(Version, channel);
    return () => client.version({});
  });
  yield { figure: 'a small call on an open connection', unit: 'ms', goal, ...versions };
  yield { figure: '`Containers.Get` on an open connection', unit: 'ms', goal, ...(await gets(lab)) };
}

const goal = { most: 2, limit: 0.5 };

async function gets(lab: Lab): Promise<Record<'berth' | 'containerd', number[]>> {
  const container = {
    id: freshName(),
    runtime: { name: 'io.containerd.runc.v2' },
    spec: { typeUrl: 'types.containerd.io/bench', value: new Uint8Array(6000) },
  };
  return onOpenConnections(lab, async (channel, undo) => {
    const client = createClient(Containers, channel);
    await client.create({ container });
    undo.defer(async () => void (await client.delete({ id: container.id })));
    return () => client.get({ id: container.id });
  });
}

type Prepare = (channel: Channel, undo: AsyncDisposableStack) => Call | Promise<Call>;
type Call = () => Promise<unknown>;

/** Milliseconds that each of 800 calls takes, one after the other. */
async function onOpenConnections(
  lab: Lab,
  prepare: Prepare,
): Promise<Record<'berth' | 'containerd', number[]>> {
  return { berth: await callTimes(lab.berth, prepare), containerd: await callTimes(lab.containerd, prepare) };
}

async function callTimes({ address }: Subject, prepare: Prepare): Promise<number[]> {
  using channel = openChannel(address, { namespace: 'default' });
  await using undo = new AsyncDisposableStack();
  const call = await prepare(channel, undo);
  const times: number[] = [];
  for (let n = 0; n < 1000; n++) {
    const start = performance.now();
    await call();
    times.push(performance.now() - start);
  }
  return times.slice(200);
}

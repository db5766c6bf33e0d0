import { Version } from '../../src/gen/containerd/services/version/v1/version_pb.ts';
import { createClient, openChannel } from '../../src/rpc/grpc-client.ts';
import type { Subject } from '../daemons.ts';
import { type Lab, timedCtr } from '../lab.ts';
import { type Row, sideBySide } from '../stats.ts';

/** What small calls cost. */
export async function* calls(lab: Lab): AsyncGenerator<Row> {
  const version = await sideBySide(lab.quick ? 10 : 40, (side) => timedCtr(lab[side], 'version'));
  yield { figure: '`ctr version`', unit: 'ms', goal: { most: 1 }, ...version };
  const unary = { berth: await callTimes(lab.berth), containerd: await callTimes(lab.containerd) };
  yield { figure: 'a small call on an open connection', unit: 'ms', goal: { limit: 0.5 }, ...unary };
}

async function callTimes(subject: Subject): Promise<number[]> {
  using channel = openChannel(subject.address);
  const client = createClient(Version, channel);
  const times: number[] = [];
  for (let n = 0; n < 1000; n++) {
    const start = performance.now();
    await client.version({});
    times.push(performance.now() - start);
  }
  return times.slice(200);
}

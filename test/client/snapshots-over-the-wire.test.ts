import { after } from 'node:test';
import { connect } from '../../src/client/index.ts';
import { snapshotterSuite } from '../../src/snapshots/snapshotter.suite.ts';
import { startDaemon } from '../kit/daemon.ts';

const daemon = await startDaemon();
after(() => daemon[Symbol.asyncDispose]());
let cases = 0;

/** berthd's snapshotters, seen through the client; each case in a namespace of its own, under a lease that keeps it. */
for (const name of ['overlayfs', 'native'])
  snapshotterSuite(`${name} over the wire`, async () => {
    const client = connect({ address: daemon.address, namespace: `case-${cases++}` });
    const lease = await client.leases.create({ id: 'suite' });
    return {
      snapshotter: client.snapshotter(name),
      copies: name === 'native',
      ctx: client.context({ lease: lease.id }),
      async [Symbol.asyncDispose]() {
        client.close();
      },
    };
  });

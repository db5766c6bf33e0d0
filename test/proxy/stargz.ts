import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { tools } from '../kit/paths.ts';
import { output } from '../kit/run.ts';
import { SnapshotterProcess } from './snapshotter-process.ts';

/** test/referees/stargz, built; undefined where it could not be. */
export const stargz: string | undefined = existsSync(join(tools, 'stargz/stargz'))
  ? join(tools, 'stargz/stargz')
  : undefined;

/** The stargz snapshotter's library 0.18.2 behind a socket; it fetches nothing that is not read. */
export const stargzSnapshotter = (): SnapshotterProcess =>
  new SnapshotterProcess('stargz', (dir, address) => [
    stargz ?? 'stargz',
    'serve',
    address,
    join(dir, 'root'),
  ]);

/** Makes an eStargz image `target` of the image `reference` that the daemon at `address` has in namespace `default`. */
export const convertToStargz = (address: string, reference: string, target: string): Promise<string> =>
  output(stargz ?? 'stargz', ['convert', address, 'default', reference, target]);

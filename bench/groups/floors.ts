import { execFile } from 'node:child_process';
import { statSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { cache, type Lab } from '../lab.ts';
import type { Row } from '../stats.ts';

const run = promisify(execFile);

/** What no program that pulls the big image can do without, each alone on one core. */
export async function* floors({ dir }: Lab): AsyncGenerator<Row> {
  const tar = join(dir, 'layers.tar');
  const layers = `find ${join(cache, 'big/oci/blobs')} -size +1M`;
  const seconds = async (script: string): Promise<number> => {
    const start = performance.now();
    await run('sh', ['-ec', script]);
    return (performance.now() - start) / 1000;
  };
  const floor = (figure: string, took: number): Row => ({
    figure: `floor: ${figure}`,
    unit: 's',
    berth: [took],
  });
  yield floor('inflate the big image with gzip', await seconds(`${layers} -exec gzip -dc {} + >/dev/null`));
  await seconds(`${layers} -exec gzip -dc {} + >${tar}; sync`);
  const size = Math.round(statSync(tar).size / 2 ** 20);
  yield floor(
    `SHA-256 of 458 + ${size} MB (openssl)`,
    await seconds(`cat ${tar} $(${layers}) | openssl dgst -sha256`),
  );
  yield floor(
    `write and sync ${size} MB in one file (cp)`,
    await seconds(`cp ${tar} ${tar}.copy && sync ${tar}.copy`),
  );
}

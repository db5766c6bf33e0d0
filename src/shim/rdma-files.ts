import { readLines } from './cgroup-files.ts';

/** One line of rdma.current or rdma.max: `mlx4_0 hca_handle=2 hca_object=2000`, `max` where there is no limit. */
export interface RdmaLine {
  readonly device: string;
  readonly hcaHandles: number;
  readonly hcaObjects: number;
}

const unlimited = 2 ** 32 - 1;

/** The same file in cgroups of either version; none where there is no such device. */
export const readRdma = (directory: string, file: string): RdmaLine[] =>
  readLines(directory, file).map((line) => {
    const [device = '', ...pairs] = line.split(' ');
    const values = new Map(pairs.map((pair) => pair.split('=') as [string, string]));
    const number = (name: string): number =>
      values.get(name) === 'max' ? unlimited : Number(values.get(name) ?? 0);
    return { device, hcaHandles: number('hca_handle'), hcaObjects: number('hca_object') };
  });

import { createHash } from 'node:crypto';
import { invalidArgument } from '../errors/error.ts';
import type { ChainId, DiffId } from './digest.ts';

/**
 * Identity of every prefix of a stack of layers, base layer first: as many entries as `diffIds`
 * (image-spec config.md, "Layer ChainID").
 */
export function chainIds(diffIds: readonly DiffId[]): ChainId[] {
  const chain: ChainId[] = [];
  for (const diffId of diffIds) {
    const parent = chain.at(-1);
    chain.push((parent === undefined ? (diffId as string) : step(parent, diffId)) as ChainId);
  }
  return chain;
}

/** Identity of the whole stack. @throws invalid_argument when there are no layers */
export function chainIdOf(diffIds: readonly DiffId[]): ChainId {
  const last = chainIds(diffIds).at(-1);
  if (last === undefined) throw invalidArgument('chain id of no layers');
  return last;
}

const step = (parent: ChainId, diffId: DiffId): string =>
  `sha256:${createHash('sha256').update(`${parent} ${diffId}`).digest('hex')}`;

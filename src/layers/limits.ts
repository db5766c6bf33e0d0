/** How much a layer may grow. A bomb is stopped at the budget, never written to its end. */
export interface InflateLimits {
  /** Most bytes one layer may have uncompressed. */
  readonly uncompressedBytes: number;
  /** Most uncompressed bytes for each compressed one, counted once {@link ratioFreeBytes} are out. */
  readonly ratio: number;
  /** Up to this many uncompressed bytes any ratio is allowed. */
  readonly ratioFreeBytes: number;
}

/** How much one layer may hold. */
export interface LayerLimits extends InflateLimits {
  /** Most members one layer may have. */
  readonly entries: number;
  /**
   * Most memory that the files of a layer file may take until they are written: some 300 bytes each, and what they have
   * of names, links, attributes and holes.
   */
  readonly metadataBytes: number;
}

/** Far above the largest real layers, far below what fills a machine. */
export const defaultLayerLimits: LayerLimits = {
  uncompressedBytes: 256 * 2 ** 30,
  ratio: 250,
  ratioFreeBytes: 4 * 2 ** 30,
  entries: 4_000_000,
  metadataBytes: 512 * 2 ** 20,
};

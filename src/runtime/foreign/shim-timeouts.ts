/** How long shims of others may take, in milliseconds; containerd's `timeouts` of these names. */
export interface ShimTimeouts {
  /** To start. */
  readonly startMs: number;
  /** To be connected to, and to answer then (`shim.load`). */
  readonly loadMs: number;
  /** To end once its task is gone (`shim.shutdown`). */
  readonly shutdownMs: number;
  /** Its program, to remove what one that died has left (`shim.cleanup`). */
  readonly cleanupMs: number;
  /** To tell the state of a task for a list, where it is `unknown` after that (`task.state`). */
  readonly stateMs: number;
}

export const defaultShimTimeouts: ShimTimeouts = {
  startMs: 30_000,
  loadMs: 5_000,
  shutdownMs: 3_000,
  cleanupMs: 10_000,
  stateMs: 2_000,
};

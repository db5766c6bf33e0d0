import type { Log } from '../../async/context.ts';
import type { LayerMode } from '../layer-mode.ts';
import type { SlowChown } from './owners.ts';

export interface OverlayDriverOptions {
  /** Directory for everything of this driver; made when missing, mode 0700. */
  readonly root: string;
  /**
   * Directory for mounted layers; made when missing, mode 0700. Short, because each layer's path goes into overlay
   * options. Default `<root>/layers`.
   */
  readonly layers?: string;
  /** How layers that are applied to an empty snapshot are kept. Default `auto`. */
  readonly mode?: LayerMode;
  /** Mount with `userxattr`, as a user namespace needs. Default false. */
  readonly userXattr?: boolean;
  /**
   * May files be given other owners one by one (which copies each) for a snapshot whose labels ask for that: `never`,
   * as a `fallback` where mapped mounts do not work, or `always`. Default `never`.
   */
  readonly slowChown?: SlowChown;
  /** More options of the overlays that it hands out. Default: none. */
  readonly options?: readonly string[];
  /** Whether {@link SnapshotDriver.labels} tells a snapshot's directory. Default false. */
  readonly upperdirLabel?: boolean;
  /** How many bytes may be written to an active snapshot that says nothing else by its label; 0: any number. Default 0. */
  readonly quotaBytes?: number;
  /** How long a layer stays mounted after its last user. Default 10 s. */
  readonly idleMs?: number;
  readonly log?: Log;
}

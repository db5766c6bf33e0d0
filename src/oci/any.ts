/** A typed value whose bytes are somebody else's: kept and returned byte for byte (containerd's typeurl). */
export interface Any {
  /** Without `type.googleapis.com/` for containerd's own types, e.g. `containerd.events.TaskExit`. */
  readonly typeUrl: string;
  readonly value: Uint8Array;
}

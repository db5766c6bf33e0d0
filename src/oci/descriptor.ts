import type { Digest } from './digest.ts';
import type { Platform } from './platform.ts';

/** An OCI content descriptor (image-spec descriptor.md). `size` is in bytes and at most 2^53-1. */
export interface Descriptor {
  readonly mediaType: string;
  readonly digest: Digest;
  readonly size: number;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly urls?: readonly string[];
  readonly platform?: Platform;
  readonly artifactType?: string;
}

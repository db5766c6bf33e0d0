import type { DigestAlgorithm } from '../../oci/digest.ts';

/** Asks for the digest of the first `size` bytes of a file, which never shrink between requests; or to forget a file. */
export type HashRequest =
  | {
      readonly id: number;
      readonly file: number;
      /** Descriptors belong to the process, so a thread can read those of another. */
      readonly fd: number;
      readonly size: number;
      readonly algorithm: DigestAlgorithm;
    }
  | { readonly drop: number };

export type HashAnswer =
  | { readonly id: number; readonly hex: string }
  | { readonly id: number; readonly error: string };

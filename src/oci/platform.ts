/** An OCI platform, normalised as containerd does (`x86_64` → `amd64`, `arm64` variant `v8` → ''). */
export interface Platform {
  readonly os: string;
  readonly architecture: string;
  readonly variant?: string;
  readonly osVersion?: string;
  readonly osFeatures?: readonly string[];
}

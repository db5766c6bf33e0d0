/** The name of a key as it would stand in a TOML file: `plugins."io.containerd.gc.v1.scheduler".pause_threshold`. */
export const dotted = (path: readonly string[]): string =>
  path.map((part) => (/^[\w-]+$/.test(part) ? part : JSON.stringify(part))).join('.');

/** Whether `path` is `prefix` or lies below it. */
export const isBelow = (path: readonly string[], prefix: readonly string[]): boolean =>
  prefix.every((part, index) => path[index] === part);

const reserved = /^(?:containerd\.io\/|io\.cri-containerd|io\.containerd\.|berth\/)/;

/**
 * Splits an image's labels into those a container may inherit and those it may not: names that this daemon or
 * containerd's clients act on must come from a client, never from an image (CVE-2026-53488).
 */
export function inheritedLabels(labels: Readonly<Record<string, string>>): {
  readonly kept: Record<string, string>;
  readonly dropped: readonly string[];
} {
  const entries = Object.entries(labels);
  return {
    kept: Object.fromEntries(entries.filter(([name, value]) => !reserved.test(name) && fits(name, value))),
    dropped: entries
      .filter(([name, value]) => reserved.test(name) || !fits(name, value))
      .map(([name]) => name),
  };
}

/** containerd's limit: name and value together at most 4096 bytes. */
const fits = (name: string, value: string): boolean =>
  Buffer.byteLength(name) + Buffer.byteLength(value) <= 4096;

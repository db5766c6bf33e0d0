/** Median of a list that is not empty. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length / 2;
  const [low, high] = [sorted[Math.ceil(middle) - 1] ?? Number.NaN, sorted[Math.floor(middle)] ?? Number.NaN];
  return (low + high) / 2;
}

/** A figure measured on both daemons in one run, alternating. */
export interface Row {
  readonly figure: string;
  readonly unit: 'ms' | 's' | 'MB';
  readonly berth: readonly number[];
  readonly containerd: readonly number[];
  /** Berth divided by containerd that must not be exceeded; undefined for what is told without one. */
  readonly goal: number | undefined;
}

/** Runs both sides in turn, `rounds` times, the order swapped each time. */
export async function sideBySide(
  rounds: number,
  berth: () => Promise<number>,
  containerd: () => Promise<number>,
): Promise<{ berth: number[]; containerd: number[] }> {
  const out = { berth: [] as number[], containerd: [] as number[] };
  for (let round = 0; round < rounds; round++) {
    for (const side of round % 2 ? (['containerd', 'berth'] as const) : (['berth', 'containerd'] as const)) {
      out[side].push(await (side === 'berth' ? berth() : containerd()));
    }
  }
  return out;
}

export function renderRow(row: Row): string {
  const [ours, theirs] = [median(row.berth), median(row.containerd)];
  const ratio = ours / theirs;
  const digits = row.unit === 's' ? 2 : 1;
  const cells = [
    row.figure,
    `${ours.toFixed(digits)} ${row.unit}`,
    `${theirs.toFixed(digits)} ${row.unit}`,
    `${ratio.toFixed(2)}x`,
  ];
  const verdict =
    row.goal === undefined ? ['', ''] : [`≤ ${row.goal}x`, ratio <= row.goal ? 'yes' : '**no**'];
  return `| ${[...cells, ...verdict, String(row.berth.length)].join(' | ')} |`;
}

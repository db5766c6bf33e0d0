/** Median of a list that is not empty. */
export const median = (values: readonly number[]): number =>
  (quantile(values, 0.5) + quantile(values, 0.5, Math.floor)) / 2;

/** The value that `share` of the list is not above. */
export function quantile(values: readonly number[], share: number, round = Math.ceil): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[round((sorted.length - 1) * share)] ?? Number.NaN;
}

/** What a figure must not exceed (`most`) or fall below (`least`): Berth divided by containerd; `limit`: Berth's own value. */
export interface Goal {
  readonly most?: number;
  readonly least?: number;
  readonly limit?: number;
}

/** A figure, measured on both daemons in one run in turns, or on Berth alone. */
export interface Row {
  readonly figure: string;
  readonly unit: 'ms' | 's' | 'MB' | 'MB/s' | 'x' | '';
  readonly berth: readonly number[];
  readonly containerd?: readonly number[];
  readonly goal?: Goal;
}

type Side = 'berth' | 'containerd';

/** Runs both sides in turn, `rounds` times, the order swapped each time. */
export async function sideBySide(
  rounds: number,
  measure: (side: Side) => Promise<number>,
): Promise<Record<Side, number[]>> {
  const out = { berth: [] as number[], containerd: [] as number[] };
  for (let round = 0; round < rounds; round++)
    for (const side of round % 2 ? (['containerd', 'berth'] as const) : (['berth', 'containerd'] as const))
      out[side].push(await measure(side));
  return out;
}

export const tableHead = `| figure | Berth | containerd | ratio | goal | met | rounds |
|---|---|---|---|---|---|---|`;

/** One line of the table. */
export function renderRow(row: Row): string {
  const ours = median(row.berth);
  const theirs = row.containerd === undefined ? undefined : median(row.containerd);
  const show = (value: number | undefined) =>
    value === undefined ? '' : `${value.toFixed(digits(row.unit, value))} ${row.unit}`;
  const ratio = theirs === undefined ? undefined : ours / theirs;
  const cells = [row.figure, show(ours), show(theirs), ratio === undefined ? '' : `${ratio.toFixed(2)}x`];
  return `| ${[...cells, goalText(row), verdict(row.goal, ours, ratio), String(row.berth.length)].join(' | ')} |`;
}

const digits = (unit: Row['unit'], value: number): number =>
  unit === '' ? 0 : unit === 'x' || unit === 's' || (unit === 'ms' && value < 10) ? 2 : 1;

function goalText({ goal, unit }: Row): string {
  const ratio =
    goal?.most !== undefined ? `≤ ${goal.most}x` : goal?.least !== undefined ? `≥ ${goal.least}x` : '';
  return [ratio, goal?.limit === undefined ? '' : `≤ ${goal.limit} ${unit}`].filter(Boolean).join(', ');
}

function verdict(goal: Goal | undefined, ours: number, ratio: number | undefined): string {
  if (goal === undefined) return '';
  const misses = [
    goal.most !== undefined && (ratio ?? 0) > goal.most,
    goal.least !== undefined && (ratio ?? Number.POSITIVE_INFINITY) < goal.least,
    goal.limit !== undefined && ours > goal.limit,
  ];
  return misses.includes(true) ? '**no**' : 'yes';
}

import type { Call } from './call.ts';
import type { Difference, Replayed } from './replay.ts';

/** Differences of one method that look alike are shown once. */
const mostShown = 60;

/** What was called, and what differed without a reason. */
export function report(seed: number, replayed: Replayed): string {
  const { differences, eventDifferences, counts, succeeded, eventsSeen, crashes, stateDifferences } =
    replayed;
  const calls = [...counts.values()].reduce((sum, count) => sum + count, 0);
  const unexplained = differences.filter(({ explained }) => explained === undefined);
  const alike = Map.groupBy(unexplained, ({ method, berth, containerd }) =>
    JSON.stringify([method, berth.code, containerd.code, wordsOf(berth.text), wordsOf(containerd.text)]),
  );
  return [
    `seed ${seed}: ${calls} calls of ${counts.size} methods, ${succeeded} succeeded, ${eventsSeen} events,`,
    `${differences.length - unexplained.length} explained differences, ${unexplained.length} others,`,
    `containerd died ${crashes.length} times`,
    ...[...alike.values()].slice(0, mostShown).map(shown),
    ...stateDifferences.map(({ after, parts }) =>
      `state parts after ${after}:\n  ${parts.join('\n  ')}`.slice(0, 3000),
    ),
    ...eventDifferences.slice(0, 10).map((parted) => `events part: ${JSON.stringify(parted, undefined, 1)}`),
    ...crashes.map(
      ({ call, berth }) =>
        `died of ${call.method} ${text(call.requests).slice(0, 150)}: berth ${text(berth)}`,
    ),
  ].join('\n');
}

/** What the explanations explained: for each the kinds of answers, once. */
export function explainedBy({ differences }: Replayed): string {
  const byWhy = Map.groupBy(differences, ({ explained }) => explained?.why ?? 'nothing');
  return [...byWhy]
    .map(([why, covered]) => {
      const kinds = Map.groupBy(covered, ({ method, berth, containerd }) =>
        [
          method,
          `${berth.code} ${wordsOf(berth.text)}`,
          `${containerd.code} ${wordsOf(containerd.text)}`,
        ].join('\n    '),
      );
      return [
        `${covered.length} ${why}`,
        ...[...kinds].map(([kind, { length }]) => `  ${length} ${kind}`),
      ].join('\n');
    })
    .join('\n');
}

const wordsOf = (text: string): string => text.slice(0, 300).replaceAll(/"[^"]*"|[a-f0-9]{20,}|\d+/g, '…');

function shown([first, ...others]: readonly Difference[]): string {
  if (first === undefined) return '';
  const { number, method, call, berth, containerd } = first;
  return [
    `\n#${number} ${method} (${others.length + 1} alike) ${JSON.stringify(call.options)}`,
    `  asked      ${text(call.requests)}`,
    `  berth      ${text(berth)}`,
    `  containerd ${text(containerd)}`,
  ].join('\n');
}

const text = (value: unknown): string => JSON.stringify(value, shortened).slice(0, 1200);

function shortened(_: string, item: unknown): unknown {
  if (typeof item === 'bigint') return String(item);
  if (typeof item === 'string' && item.length > 400) return `${item.slice(0, 40)}… ${item.length} characters`;
  const isBuffer = typeof item === 'object' && item !== null && 'type' in item && item.type === 'Buffer';
  return isBuffer && 'data' in item && Array.isArray(item.data) ? `${item.data.length} bytes` : item;
}

/** A call on one line. */
export const shownCall = ({ method, requests, options }: Call): string =>
  `${method} ${text(requests)} ${text(options)}`;

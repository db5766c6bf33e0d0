import { setTimeout as sleep } from 'node:timers/promises';
import type { Subject } from '../daemons.ts';
import { eightAtATime, freshName, type Lab, outputOf, removeAll, startSleeper, timedCtr } from '../lab.ts';
import { median, type Row } from '../stats.ts';

/** Both daemons get this long without calls before their memory is read. */
const quietMs = 20_000;

const sides = ['berth', 'containerd'] as const;
type Side = (typeof sides)[number];
type Both = Record<Side, number[]>;

/** What daemons hold that have served nothing yet. */
export async function* idle(lab: Lab): AsyncGenerator<Row> {
  yield memory('just started', await quiet(lab), { most: 1 });
}

/** What a hundred containers cost, and the way back after a kill -9. */
export async function* hundred(lab: Lab): AsyncGenerator<Row> {
  await using berth = new Many(lab.berth);
  await using containerd = new Many(lab.containerd);
  for (const many of [berth, containerd]) await many.start(100);
  yield memory('100 containers', await quiet(lab), { most: 0.35, limit: 150 });
  yield {
    figure: 'kill -9 of the daemon until 100 tasks are listed',
    unit: 's',
    goal: { limit: 0.5 },
    ...(await bothOf((side) => back(lab[side], 100))),
  };
}

/**
 * What a thousand containers cost: memory, starts, lists, and the way back after a kill -9. One side after the other: a
 * start is slower for every container that the machine has, whosever it is.
 */
export async function* thousand(lab: Lab): AsyncGenerator<Row> {
  if (lab.quick) return;
  const found = { berth: await thousandOf(lab.berth), containerd: await thousandOf(lab.containerd) };
  const row = (
    name: keyof Thousand,
    figure: string,
    unit: Row['unit'],
    goal: NonNullable<Row['goal']>,
  ): Row => ({
    figure,
    unit,
    goal,
    berth: found.berth[name],
    containerd: found.containerd[name],
  });
  yield row('memoryMb', 'memory, PSS: daemon and shims, 1,000 containers', 'MB', { limit: 300 });
  yield row('eachMb', 'memory, PSS: each further container', 'MB', { limit: 0.15 });
  yield row('slower', 'the last 100 starts of 1,000 against the first', 'x', { limit: 1.2 });
  yield row('listS', '`ctr tasks ls` of 1,000', 's', { limit: 0.1 });
  yield row('backS', 'kill -9 of the daemon until 1,000 tasks are listed', 's', { limit: 1.5 });
}

interface Thousand {
  readonly memoryMb: number[];
  readonly eachMb: number[];
  readonly slower: number[];
  readonly listS: number[];
  readonly backS: number[];
}

async function thousandOf(subject: Subject): Promise<Thousand> {
  await using many = new Many(subject);
  await many.start(100);
  const before = await quietMemory(subject);
  await many.start(1000);
  const after = await quietMemory(subject);
  return {
    memoryMb: [after],
    eachMb: [(after - before) / 900],
    slower: [many.slower],
    listS: await times(5, async () => (await timedCtr(subject, 'tasks', 'ls')) / 1000),
    backS: await back(subject, 1000),
  };
}

/** Containers of one daemon, and how long the starts of each hundred took. */
class Many implements AsyncDisposable {
  readonly #subject: Subject;
  readonly #names: string[] = [];
  readonly #started: number[] = [];

  constructor(subject: Subject) {
    this.#subject = subject;
  }

  /** More of them, until there are `count`. */
  async start(count: number): Promise<void> {
    while (this.#names.length < count) {
      const next = Array.from({ length: Math.min(100, count - this.#names.length) }, freshName);
      this.#names.push(...next);
      this.#started.push(await perContainer(this.#subject, next));
    }
  }

  /** A start of the last hundred against one of the first. */
  get slower(): number {
    return (this.#started.at(-1) ?? 0) / (this.#started[0] ?? 1);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await removeAll(this.#subject, this.#names);
  }
}

const memory = (what: string, figures: Both, goal: NonNullable<Row['goal']>): Row => ({
  figure: `memory, PSS: daemon and shims, ${what}`,
  unit: 'MB',
  goal,
  ...figures,
});

async function quiet({ berth, containerd }: Lab): Promise<Both> {
  await sleep(quietMs);
  return { berth: [berth.memoryMb()], containerd: [containerd.memoryMb()] };
}

async function quietMemory(subject: Subject): Promise<number> {
  await sleep(quietMs);
  return subject.memoryMb();
}

async function perContainer(subject: Subject, names: readonly string[]): Promise<number> {
  const tookMs: number[] = [];
  await eightAtATime(names, async (name) => void tookMs.push(await startSleeper(subject, name)));
  return median(tookMs);
}

async function back(subject: Subject, count: number): Promise<number[]> {
  return times(3, async () => {
    const start = performance.now();
    await subject.crash();
    while ((await running(subject)) < count) await sleep(5);
    return (performance.now() - start) / 1000;
  });
}

async function bothOf(measure: (side: Side) => Promise<number[]>): Promise<Both> {
  const out: Both = { berth: [], containerd: [] };
  for (const side of sides) out[side] = await measure(side);
  return out;
}

async function times(rounds: number, measure: () => Promise<number>): Promise<number[]> {
  const out: number[] = [];
  while (out.length < rounds) out.push(await measure());
  return out;
}

const running = async (subject: Subject): Promise<number> =>
  (await outputOf(subject, 'tasks', 'ls')).split('\n').filter((line) => line.includes('RUNNING')).length;

import { setTimeout as sleep } from 'node:timers/promises';
import type { Subject } from '../daemons.ts';
import { eightAtATime, freshName, type Lab, outputOf, removeAll, startSleeper, timedCtr } from '../lab.ts';
import { median, type Row } from '../stats.ts';

/** Both daemons get this long without calls before their memory is read. */
const quietMs = 20_000;

const sides = ['berth', 'containerd'] as const;
type Both = Record<(typeof sides)[number], number[]>;

/** What daemons hold that have served nothing yet. */
export async function* idle(lab: Lab): AsyncGenerator<Row> {
  yield memory('just started', await quiet(lab), { most: 1 });
}

/** What a hundred containers cost, and the way back after a kill -9. */
export async function* hundred(lab: Lab): AsyncGenerator<Row> {
  await using many = new Many(lab);
  await many.start(100);
  yield memory('100 containers', await quiet(lab), { most: 0.35, limit: 150 });
  yield {
    figure: 'kill -9 of the daemon until 100 tasks are listed',
    unit: 's',
    goal: { limit: 0.5 },
    ...(await back(lab, 100)),
  };
}

/** What a thousand containers cost: memory, starts, lists, and the way back after a kill -9. */
export async function* thousand(lab: Lab): AsyncGenerator<Row> {
  if (lab.quick) return;
  await using many = new Many(lab);
  await many.start(100);
  const before = await quiet(lab);
  await many.start(1000);
  const after = await quiet(lab);
  yield memory('1,000 containers', after, { limit: 300 });
  const each = (side: (typeof sides)[number]) => [((after[side][0] ?? 0) - (before[side][0] ?? 0)) / 900];
  yield {
    figure: 'memory, PSS: each further container',
    unit: 'MB',
    goal: { limit: 0.15 },
    berth: each('berth'),
    containerd: each('containerd'),
  };
  yield {
    figure: 'the last 100 starts of 1,000 against the first',
    unit: 'x',
    goal: { limit: 1.2 },
    berth: [many.slower('berth')],
    containerd: [many.slower('containerd')],
  };
  yield { figure: '`ctr tasks ls` of 1,000', unit: 's', goal: { limit: 0.1 }, ...(await lists(lab)) };
  yield {
    figure: 'kill -9 of the daemon until 1,000 tasks are listed',
    unit: 's',
    goal: { limit: 1.5 },
    ...(await back(lab, 1000)),
  };
}

/** Containers that both daemons have, and how long the starts of each hundred took. */
class Many implements AsyncDisposable {
  readonly #lab: Lab;
  readonly #names: string[] = [];
  readonly #started: Both = { berth: [], containerd: [] };

  constructor(lab: Lab) {
    this.#lab = lab;
  }

  /** More of them, until there are `count`. */
  async start(count: number): Promise<void> {
    while (this.#names.length < count) {
      const next = Array.from({ length: Math.min(100, count - this.#names.length) }, freshName);
      this.#names.push(...next);
      for (const side of sides) this.#started[side].push(await perContainer(this.#lab[side], next));
    }
  }

  /** A start of the last hundred against one of the first. */
  slower(side: (typeof sides)[number]): number {
    return (this.#started[side].at(-1) ?? 0) / (this.#started[side][0] ?? 1);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const side of sides) await removeAll(this.#lab[side], this.#names);
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

async function perContainer(subject: Subject, names: readonly string[]): Promise<number> {
  const times: number[] = [];
  await eightAtATime(names, async (name) => void times.push(await startSleeper(subject, name)));
  return median(times);
}

async function lists(lab: Lab): Promise<Both> {
  const out: Both = { berth: [], containerd: [] };
  for (let round = 0; round < 5; round++)
    for (const side of sides) out[side].push((await timedCtr(lab[side], 'tasks', 'ls')) / 1000);
  return out;
}

async function back(lab: Lab, count: number): Promise<Both> {
  const out: Both = { berth: [], containerd: [] };
  for (let round = 0; round < 3; round++)
    for (const side of sides) {
      const start = performance.now();
      await lab[side].crash();
      while ((await running(lab[side])) < count) await sleep(5);
      out[side].push((performance.now() - start) / 1000);
    }
  return out;
}

const running = async (subject: Subject): Promise<number> =>
  (await outputOf(subject, 'tasks', 'ls')).split('\n').filter((line) => line.includes('RUNNING')).length;

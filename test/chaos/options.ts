import { parseArgs } from 'node:util';
import { chaosSeed } from './random.ts';

/** How long a test of chaos is. */
export interface ChaosOptions {
  readonly rounds: number;
  /** A slow machine does fewer rounds, unless it is told how many. */
  readonly budgetMs: number;
  readonly seed: number;
}

/** By hand `node FILE --rounds 1000 --seed 7`, else BERTH_CHAOS_ROUNDS and BERTH_CHAOS_SEED, else what is given. */
export function chaosOptions(rounds: number, budgetMs: number): ChaosOptions {
  const { values } = parseArgs({
    strict: false,
    options: { rounds: { type: 'string' }, seed: { type: 'string' } },
  });
  return {
    rounds: Number(values.rounds ?? process.env.BERTH_CHAOS_ROUNDS ?? rounds),
    budgetMs: values.rounds === undefined ? budgetMs : Number.POSITIVE_INFINITY,
    seed: values.seed === undefined ? chaosSeed() : Number(values.seed),
  };
}

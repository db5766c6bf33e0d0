import { parseArgs } from 'node:util';
import { replay } from './replay.ts';
import { explainedBy, report, shownCall } from './report.ts';
import { Sides } from './sides.ts';

// node test/differential/main.ts [--seed N] [--calls N] [--round N] [--log] [--explained]: more calls than the test makes, and what they were.

const { values } = parseArgs({
  options: {
    seed: { type: 'string' },
    calls: { type: 'string', default: '1000' },
    round: { type: 'string', default: '25' },
    log: { type: 'boolean', default: false },
    explained: { type: 'boolean', default: false },
  },
});
const seed = Number(values.seed ?? Date.now() % 1_000_000);
await using sides = await Sides.open();
const replayed = await replay(sides, {
  seed,
  calls: Number(values.calls),
  perRound: Number(values.round),
  onCall: (number, call, berth, containerd) =>
    values.log && console.log(`#${number} ${shownCall(call)} ${berth.code} ${containerd.code}`),
});
console.log(report(seed, replayed));
if (values.explained) console.log(explainedBy(replayed));

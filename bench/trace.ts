// Where the milliseconds of one `ctr run --rm … true` go: every call as the daemon served it, every program that was run for it.
// usage: sudo node bench/trace.ts   writes docs/start-trace.md: of 15 starts the one of median length
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import { loadavg } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Subject, startBerth } from './daemons.ts';
import { freshName, image, pull, startRegistry, timedCtr } from './lab.ts';

interface Step {
  readonly atMs: number;
  readonly tookMs?: number;
  readonly what: string;
}

const top = resolve(import.meta.dirname, '..');
const rounds = 15;

/** One start and what was noted of it. */
async function traceStart(berth: Subject, log: string): Promise<{ tookMs: number; steps: Step[] }> {
  const from = readFileSync(log, 'utf8').length;
  const programs = join(berth.dir, 'strace');
  const strace = await straceShim(berth, programs);
  const startMs = Date.now();
  const tookMs = await timedCtr(berth, 'run', '--rm', image('small'), freshName(), '/bin/true');
  await sleep(100);
  strace.kill('SIGINT');
  await once(strace, 'exit');
  const steps = [
    ...callsIn(readFileSync(log, 'utf8').slice(from)),
    ...programsIn(readFileSync(programs, 'utf8')),
  ].map((step) => ({ ...step, atMs: step.atMs - startMs }));
  return { tookMs, steps: steps.filter(({ atMs }) => atMs >= 0).sort((a, b) => a.atMs - b.atMs) };
}

/** Follows what the shim starts; only the starts and ends of programs, so that it slows nothing else. */
async function straceShim(berth: Subject, file: string): Promise<ChildProcess> {
  const shims = berth
    .pids()
    .slice(1)
    .flatMap((pid) => ['-p', String(pid)]);
  const words = ['-f', '-ttt', '-e', 'trace=execve', '-e', 'signal=none', '-o', file, ...shims];
  const strace = spawn('strace', words, { stdio: ['ignore', 'ignore', 'pipe'] });
  await once(strace.stderr, 'data');
  return strace;
}

function callsIn(log: string): Step[] {
  const lines = log.matchAll(/^(\S+) TRACE call served .*?method=(\S+) .*?elapsedMs=([\d.]+)$/gm);
  return [...lines].map(([, time = '', method = '', elapsed]) => {
    const tookMs = Number(elapsed);
    return { atMs: Date.parse(time) - tookMs, tookMs, what: method.split('.').at(-1) ?? method };
  });
}

function programsIn(strace: string): Step[] {
  const started = new Map<string, number>();
  const steps: Step[] = [];
  for (const [, pid = '', time, rest = ''] of strace.matchAll(/^(\d+) +([\d.]+) (.*)$/gm)) {
    const atMs = Number(time) * 1000;
    const [, words] = /^execve\("[^"]*", \[(.*?)\]/.exec(rest) ?? [];
    if (words !== undefined && !rest.includes('ENOENT')) {
      started.set(pid, atMs);
      steps.push({ atMs, what: `program starts: ${shorten(words)}` });
    }
    const startMs = started.get(pid);
    if (rest.startsWith('+++ exited') && startMs !== undefined)
      steps.push({ atMs, what: `program ends, after ${(atMs - startMs).toFixed(1)} ms` });
  }
  return steps;
}

const shorten = (words: string): string => {
  const plain = words.replaceAll('"', '').split(', ');
  const verb = ['create', 'start', 'delete', 'exec', 'init', 'kill'].find((word) => plain.includes(word));
  return [plain[0], verb].filter(Boolean).join(' ');
};

function render({ tookMs, steps }: { tookMs: number; steps: readonly Step[] }): string {
  const served = steps.reduce((sum, step) => sum + (step.tookMs ?? 0), 0);
  const line = ({ atMs, tookMs: ms, what }: Step) =>
    `| ${atMs.toFixed(0)} | ${ms?.toFixed(2) ?? ''} | ${what} |`;
  return `# Where the milliseconds of a start go

Made by \`sudo node bench/trace.ts\`: of ${rounds} times \`ctr run --rm … true\` one after another the one of median length, ${tookMs.toFixed(0)} ms (strace watches the shim's
programs and costs some of that; load average ${loadavg()[0]?.toFixed(1)}). Milliseconds since ctr was started; how long the daemon took for a call, from its request to its answer,
which is ${served.toFixed(0)} ms in all (Wait lasts as long as the container). What is between the calls is ctr's own work and the way there and back.

| at | took | what |
|---|---|---|
${steps.map(line).join('\n')}
`;
}

const dir = '/var/tmp/berth-bench/trace';
await using undo = new AsyncDisposableStack();
mkdirSync(join(dir, 'berth'), { recursive: true });
undo.defer(await startRegistry(dir, ['small']));
const log = join(dir, 'log');
const berth = await startBerth(join(dir, 'berth'), top, ['--log-level', 'trace'], openSync(log, 'w'));
undo.defer(() => berth.stop());
await pull(berth, 'small');
await timedCtr(berth, 'run', '--rm', image('small'), freshName(), '/bin/true');
const traces: Awaited<ReturnType<typeof traceStart>>[] = [];
for (let round = 0; round < rounds; round++) traces.push(await traceStart(berth, log));
const [median] = traces.sort((a, b) => a.tookMs - b.tookMs).slice(rounds >> 1);
if (median !== undefined) writeFileSync(join(top, 'docs/start-trace.md'), render(median));

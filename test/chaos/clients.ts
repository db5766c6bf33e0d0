import { bin, ctr2 } from '../kit/paths.ts';
import { type RunResult, run } from '../kit/run.ts';
import { patienceMs } from '../kit/until.ts';
import type { Journal } from './journal.ts';
import type { Random } from './random.ts';

export interface Setting {
  readonly address: string;
  /** Of berth, and of ctr. Nobody else may use these names: cgroups carry them. */
  readonly namespaces: readonly [string, string];
  readonly journal: Journal;
  /** References; the first is always here and never removed. */
  readonly images: readonly string[];
  /** A directory for DOCKER_CONFIG. */
  readonly dir: string;
}

export type Client = (random: Random, n: string) => Promise<void>;

/** One command line of berth or ctr; one that never ends is a lie of the daemon, dead or alive (I8). */
async function command(set: Setting, program: string, args: readonly string[]): Promise<RunResult> {
  const began = Date.now();
  const [namespace] = set.namespaces;
  const address = { BERTH_ADDRESS: set.address, CONTAINERD_ADDRESS: set.address };
  const env = { ...address, BERTH_NAMESPACE: namespace, DOCKER_CONFIG: set.dir };
  const result = await run(program, args, { env, timeoutMs: patienceMs });
  if (Date.now() - began >= patienceMs)
    set.journal.lies.push(`I8: ${program} ${args.join(' ')} hung: ${result.stdout}${result.stderr}`);
  return result;
}

/** A command line of berth in the first namespace. */
export const berth = (set: Setting, ...args: readonly string[]) => command(set, bin('berth'), args);
const ctr = (set: Setting, namespace: string, ...args: readonly string[]) =>
  command(set, ctr2, ['--connect-timeout', '3s', '-n', namespace, ...args]);

/** Pulls and removes images in the first namespace by berth. */
export const puller =
  (set: Setting): Client =>
  async (random) => {
    const { journal } = set;
    const image = random.pick(set.images.slice(1));
    const key = `${set.namespaces[0]} ${image}`;
    const remove = journal.images.get(key) === 'present' && random.next() < 0.7;
    await journal.change(journal.images, key, remove ? 'absent' : 'present', async () => {
      const { status } = await berth(set, ...(remove ? ['rmi', '-f', image] : ['pull', '-q', image]));
      journal.count(remove ? 'berth rmi' : 'berth pull', status === 0);
      return status === 0;
    });
  };

/** Pulls and removes images in a namespace of its own by ctr: the transfer service, or its own fetching under its own lease. */
export const ctrPuller =
  (set: Setting): Client =>
  async (random) => {
    const { journal } = set;
    const image = random.pick(set.images);
    const key = `${set.namespaces[1]} ${image}`;
    const remove = journal.images.get(key) === 'present' && random.next() < 0.7;
    const pull = ['images', 'pull', '--plain-http', ...(random.next() < 0.5 ? ['--local'] : []), image];
    await journal.change(journal.images, key, remove ? 'absent' : 'present', async () => {
      const args = remove ? ['images', 'rm', '--sync', image] : pull;
      const { status } = await ctr(set, set.namespaces[1], ...args);
      journal.count(`ctr ${args.slice(0, 2).join(' ')}`, status === 0);
      return status === 0;
    });
  };

/** Foreground containers: status and output must be theirs whenever the command claims to have ended well. */
export const foreground =
  (set: Setting): Client =>
  async (random, n) => {
    const code = random.between(10, 99);
    const { status, stdout } = await berth(
      set,
      ...['run', '--rm', '--pull', 'never', set.images[0] ?? ''],
      ...['sh', '-c', `echo out-${n}; exit ${code}`],
    );
    set.journal.count('berth run --rm', status === code);
    if (status === code && stdout !== `out-${n}\n`)
      set.journal.lies.push(`I6: berth run ended with ${code} but printed ${JSON.stringify(stdout)}`);
    if (status === 0) set.journal.lies.push(`I7: berth run ended with 0, not ${code}`);
  };

export const ctrForeground =
  (set: Setting): Client =>
  async (random, n) => {
    const code = random.between(10, 99);
    const { status, stdout } = await ctr(
      set,
      set.namespaces[0],
      ...['run', '--rm', set.images[0] ?? '', `fg-${n}`, 'sh', '-c', `echo out-${n}; exit ${code}`],
    );
    set.journal.count('ctr run --rm', status === code);
    if (status === code && stdout !== `out-${n}\n`)
      set.journal.lies.push(`I6: ctr run ended with ${code} but printed ${JSON.stringify(stdout)}`);
  };

/** Detached containers: some run on until removed, some end by themselves, some are to vanish by themselves. */
export const detached =
  (set: Setting): Client =>
  async (random, n) => {
    const { journal } = set;
    const tickers = [...journal.runners.values()].filter(
      (runner) => runner.exitCode === undefined && runner.printsTo === 'log',
    );
    if (tickers.length > 2) return removeRunner(set, random.pick(tickers).id);
    const kind = random.pick(['ticker', 'ender', 'ender', 'vanisher']);
    if (kind === 'vanisher') {
      const args = ['run', '-d', '--rm', '--pull', 'never', '--name', `v-${n}`, set.images[0] ?? ''];
      const { status } = await berth(set, ...args, 'sleep', '0.3');
      return journal.count('berth run -d --rm', status === 0);
    }
    const exitCode = kind === 'ender' ? random.between(10, 99) : undefined;
    const ticking = 'i=0; while :; do echo $i; i=$((i+1)); usleep 20000; done';
    const script = kind === 'ender' ? `sleep 0.${random.between(1, 9)}; exit ${exitCode}` : ticking;
    const args = [
      'run',
      '-d',
      '--pull',
      'never',
      '--name',
      `d-${n}`,
      set.images[0] ?? '',
      'sh',
      '-c',
      script,
    ];
    const { shimDeaths } = journal;
    const { status, stdout } = await berth(set, ...args);
    journal.count('berth run -d', status === 0);
    if (status !== 0) return;
    const id = stdout.trim();
    const runner = { namespace: set.namespaces[0], id, pid: 0, printsTo: 'log' as const };
    const mayBeUnknown = journal.shimDeaths > shimDeaths;
    journal.runners.set(id, exitCode === undefined ? runner : { ...runner, exitCode, mayBeUnknown });
  };

/** `berth rm -f`: until it is answered, nothing is known of the container. */
async function removeRunner({ journal, ...set }: Setting, id: string): Promise<void> {
  journal.runners.delete(id);
  const { status } = await berth({ journal, ...set }, 'rm', '-f', id);
  journal.count('berth rm -f', status === 0);
  if (status === 0) journal.removed.add(id);
}

/** Processes in containers that run. */
export const execer =
  (set: Setting): Client =>
  async (random, n) => {
    const running = [...set.journal.runners.values()].filter((runner) => runner.exitCode === undefined);
    if (running.length === 0) return;
    const { id } = random.pick(running);
    const { status, stdout } = await berth(set, 'exec', id, 'sh', '-c', `echo in-${n}; exit 5`);
    set.journal.count('berth exec', status === 5);
    if (status === 5 && stdout !== `in-${n}\n`)
      set.journal.lies.push(`I6: berth exec ended with 5 but printed ${JSON.stringify(stdout)}`);
  };

/** Leases, made and deleted. */
export const leaser =
  (set: Setting): Client =>
  async (random, n) => {
    const { journal } = set;
    const known = [...journal.leases].filter(([, state]) => state === 'present').map(([key]) => key);
    const remove = known.length > 3;
    const key = remove ? random.pick(known) : `${set.namespaces[1]} l-${n}`;
    const id = key.split(' ')[1] ?? '';
    const args = remove ? ['leases', 'delete', '--sync', id] : ['leases', 'create', '--id', id];
    await journal.change(journal.leases, key, remove ? 'absent' : 'present', async () => {
      const { status } = await ctr(set, set.namespaces[1], ...args);
      journal.count(`ctr ${args.slice(0, 2).join(' ')}`, status === 0);
      return status === 0;
    });
  };

/** Processes with a terminal in containers that run. */
export const terminalExecer =
  (set: Setting): Client =>
  async (random, n) => {
    const running = [...set.journal.runners.values()].filter((runner) => runner.exitCode === undefined);
    if (running.length === 0) return;
    const line = `${bin('berth')} exec -t ${random.pick(running).id} sh -c 'echo tty-${n}; exit 6'`;
    const { status, stdout } = await command(set, 'script', ['-qec', line, '/dev/null']);
    set.journal.count('berth exec -t', status === 6);
    if (status === 6 && !stdout.includes(`tty-${n}\r`))
      set.journal.lies.push(`I6: berth exec -t ended with 6 but printed ${JSON.stringify(stdout)}`);
  };

/** Reads the ends of logs of containers that count. */
export const logReader =
  (set: Setting): Client =>
  async (random) => {
    const { journal } = set;
    const running = [...journal.runners.values()].filter(
      (runner) => runner.exitCode === undefined && runner.printsTo === 'log',
    );
    if (running.length === 0) return;
    const { id } = random.pick(running);
    const { status, stdout } = await berth(set, 'logs', '-n', '20', id);
    journal.count('berth logs', status === 0);
    const numbers = stdout.trim().split('\n').filter(Boolean).map(Number);
    if (status === 0 && numbers.some((number, i) => i > 0 && number !== (numbers[i - 1] ?? 0) + 1))
      journal.lies.push(`I6: the log of ${id} has a gap: ${numbers}`);
  };

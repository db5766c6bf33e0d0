import { spawn } from 'node:child_process';
import { text } from 'node:stream/consumers';

export interface RunResult {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface RunOptions {
  readonly input?: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  /** Default 60 s; then SIGKILL. */
  readonly timeoutMs?: number;
}

/** Runs a program to its end; never throws for a failing one. */
export async function run(
  program: string,
  args: readonly string[],
  options: RunOptions = {},
): Promise<RunResult> {
  const child = spawn(program, args, {
    stdio: [options.input === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe'],
    env: { ...process.env, ...options.env },
    cwd: options.cwd ?? '/',
    timeout: options.timeoutMs ?? 60_000,
    killSignal: 'SIGKILL',
  });
  // A program need not read its input.
  child.stdin?.on('error', () => {}).end(options.input);
  const ended = new Promise<number | null>((resolve, reject) =>
    child.once('error', reject).once('exit', resolve),
  );
  if (!child.stdout || !child.stderr) throw new Error(`${program} has no pipes`);
  const [status, stdout, stderr] = await Promise.all([ended, text(child.stdout), text(child.stderr)]);
  return { status, stdout, stderr };
}

/** Runs a program that must succeed and returns what it printed, without the last newline. */
export async function output(
  program: string,
  args: readonly string[],
  options: RunOptions = {},
): Promise<string> {
  const { status, stdout, stderr } = await run(program, args, options);
  if (status !== 0) throw new Error(`${program} ${args.join(' ')} ended with ${status}:\n${stdout}${stderr}`);
  return stdout.replace(/\n$/, '');
}

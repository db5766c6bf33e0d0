import { connect } from 'node:net';
import { BerthError, codeOf, kindOf, messageOf } from '../errors/error.ts';
import type { Globals } from './cli.ts';
import type { Failure } from './command.ts';
import { coloursFor } from './output/colours.ts';
import { printable } from './output/text.ts';

type Environment = Readonly<Record<string, string | undefined>>;

/** An error whose exit status and advice the command knows itself. */
export class CliError extends Error {
  readonly exitCode: number;
  readonly hint: string | undefined;

  constructor(message: string, options: { exitCode?: number; hint?: string; cause?: unknown } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.exitCode = options.exitCode ?? 1;
    this.hint = options.hint;
  }
}

const interrupted = 130;
const runFailed = 125;
const cannotInvoke = 126;
const notFound = 127;

/** Tells the user in one line what failed and why, and in a second what to do. @returns the exit status */
export async function reportFailure(
  failure: Failure,
  stderr: NodeJS.WriteStream,
  env: Environment,
): Promise<number> {
  const { error, globals } = failure;
  if (kindOf(error) === 'aborted' && error instanceof Error && error.name === 'AbortError')
    return interrupted;
  const colours = coloursFor(stderr, env);
  const { message, hint } = await explain(failure);
  stderr.write(`${colours.red('berth:')} ${firstLines(message)}\n`);
  if (hint !== undefined) stderr.write(`${colours.dim(`hint: ${hint}`)}\n`);
  if (globals.debug) for (const line of causes(error)) stderr.write(`  ${line}\n`);
  return exitCodeOf(failure);
}

const firstLines = (text: string): string => text.split('\n').map(printable).join('\n  ').trimEnd();

async function explain({ error, globals, command }: Failure): Promise<Explanation> {
  if (error instanceof CliError) return { message: error.message, hint: error.hint };
  if (kindOf(error) === 'unavailable') {
    const absent = await daemonProblem(globals);
    if (absent !== undefined) return absent;
  }
  return { message: `${command}: ${plain(messageOf(error))}`, hint: hintFor(error, command) };
}

interface Explanation {
  readonly message: string;
  readonly hint: string | undefined;
}

/** Go clients need the kind at the end of a message; people do not where it adds nothing. */
const plain = (message: string): string =>
  message.replace(/: (?:invalid argument|failed precondition|unavailable|unknown|internal)$/, '');

/** Why the socket does not answer, judged by trying it; undefined when it does. */
async function daemonProblem({ address }: Globals): Promise<Explanation | undefined> {
  const path = address.replace(/^unix:\/\//, '');
  const message = `cannot reach the daemon at ${path}`;
  const start = 'start the daemon (sudo berthd, or systemctl start berth), or name its socket with --address';
  switch (await connectFailure(path)) {
    case undefined:
      return undefined;
    case 'EACCES':
    case 'EPERM':
      return {
        message: `${message}: permission denied`,
        hint: 'use sudo, or become a member of the group that owns the socket',
      };
    case 'ENOENT':
      return { message: `${message}: no such socket`, hint: start };
    case 'ECONNREFUSED':
      return { message: `${message}: nobody listens`, hint: start };
    case 'ENOTSOCK':
      return { message: `${message}: not a socket`, hint: 'check --address' };
    default:
      return { message: `${message}: it does not answer`, hint: 'look at the log of berthd' };
  }
}

const connectPatienceMs = 1_000;

function connectFailure(path: string): Promise<string | undefined> {
  return new Promise((resolve) => {
    const socket = connect(path);
    socket.setTimeout(connectPatienceMs, () => resolve('ETIMEDOUT'));
    socket.once('connect', () => resolve(undefined));
    socket.once('error', (error) => resolve(codeOf(error) ?? 'unknown'));
  });
}

const asksRegistry = new Set(['pull', 'run', 'push', 'copy', 'tags', 'referrers', 'login']);

function hintFor(error: unknown, command: string): string | undefined {
  const message = messageOf(error);
  switch (kindOf(error)) {
    case 'not_found':
      if (command === 'pull' || (command === 'run' && /image|manifest|reference/.test(message)))
        return 'check the name and tag; private images need --user';
      if (runtimeMissing.test(message)) return 'name an installed runtime: --runtime crun or --runtime runc';
      return /container/.test(message) ? 'list containers: berth ps -a' : undefined;
    case 'already_exists':
      return /^container name/.test(message)
        ? 'remove that container (berth rm), or choose another --name'
        : undefined;
    case 'unauthenticated':
    case 'permission_denied':
      if (/credentials were refused/.test(message)) return 'check the name and the password';
      return asksRegistry.has(command)
        ? 'log in (berth login HOST), or give credentials: --user name'
        : undefined;
    case 'unavailable':
      return asksRegistry.has(command) ? 'can this machine reach the registry?' : undefined;
    case 'not_implemented':
      return 'the daemon does not support this';
    case 'resource_exhausted':
      return /space/i.test(message) ? 'free disk space: berth rm, berth rmi' : undefined;
    default:
      return undefined;
  }
}

function causes(error: unknown): string[] {
  const lines: string[] = [];
  for (let at = error, depth = 0; at instanceof Error && depth < 8; at = at.cause, depth++) {
    const kind = at instanceof BerthError ? ` (${at.kind})` : '';
    lines.push(...`${depth === 0 ? '' : 'caused by '}${at.stack ?? at.message}${kind}`.split('\n'));
  }
  return lines;
}

function exitCodeOf({ error, command }: Failure): number {
  if (error instanceof CliError) return error.exitCode;
  if (command !== 'run' && command !== 'exec' && command !== 'start') return 1;
  return command === 'start' ? 1 : startExitCode(messageOf(error));
}

/** In the daemon's words, where neither the shim nor its OCI runtime has said anything yet. */
const runtimeMissing = /^runtime "|^failed to create shim task: exec: /;

/** docker's rules: 127 when the command is not in the container, 126 when it cannot be run, 125 for all else. */
export function startExitCode(message: string): number {
  if (runtimeMissing.test(message)) return runFailed;
  if (
    /executable file.*not found|no such file or directory|: ENOENT/i.test(message) &&
    /exec|stat|open|find/i.test(message)
  ) {
    return notFound;
  }
  if (/exec.*permission denied|permission denied.*exec|exec format error|is a directory/i.test(message)) {
    return cannotInvoke;
  }
  return runFailed;
}

import { spawn } from 'node:child_process';
import { codeOf, invalidArgument, notFound, unavailable } from '../errors/error.ts';

/** What a helper keeps of a login. A user name of `<token>` means that the secret is a refresh token. */
export interface HelperLogin {
  readonly Username: string;
  readonly Secret: string;
}

const limits = { outputBytes: 1024 * 1024, timeoutMs: 120_000 } as const;

/** What `docker-credential-<helper>` keeps for a server; undefined when it has nothing. @throws not_found (no such helper), unavailable */
export async function askHelper(helper: string, server: string): Promise<HelperLogin | undefined> {
  const { code, text } = await run(helper, 'get', server);
  if (code !== 0) {
    if (/credentials not found/i.test(text)) return undefined;
    throw unavailable(`docker-credential-${helper}: ${text.slice(0, 300).trim() || `ended with ${code}`}`);
  }
  const login = parse(text);
  if (login === undefined) throw unavailable(`docker-credential-${helper}: its answer is not a login`);
  return login.Secret === '' ? undefined : login;
}

/** Keeps a login. @throws not_found (no such helper), unavailable (refused) */
export async function storeByHelper(helper: string, server: string, login: HelperLogin): Promise<void> {
  await must(helper, 'store', JSON.stringify({ ServerURL: server, ...login }));
}

/** Forgets a login. Idempotent. @throws not_found (no such helper), unavailable (refused) */
export async function eraseByHelper(helper: string, server: string): Promise<void> {
  const { code, text } = await run(helper, 'erase', server);
  if (code !== 0 && !/credentials not found/i.test(text))
    throw unavailable(`docker-credential-${helper}: ${text.slice(0, 300).trim()}`);
}

async function must(helper: string, action: string, input: string): Promise<void> {
  const { code, text } = await run(helper, action, input);
  // Not its words: they might repeat the secret that it was given.
  if (code !== 0)
    throw unavailable(`docker-credential-${helper} ${action}: ended with ${code}: ${text.length} bytes`);
}

function parse(text: string): HelperLogin | undefined {
  try {
    const { Username, Secret } = JSON.parse(text) as { Username?: unknown; Secret?: unknown };
    return typeof Username === 'string' && typeof Secret === 'string' ? { Username, Secret } : undefined;
  } catch {
    return undefined;
  }
}

/** The secret goes by standard input, never by the command line. A helper may ask the user on the terminal. */
async function run(helper: string, action: string, input: string): Promise<{ code: number; text: string }> {
  if (!/^[A-Za-z0-9][\w.-]*$/.test(helper))
    throw invalidArgument(`credential helper ${JSON.stringify(helper)} is no name of a program`);
  const program = `docker-credential-${helper}`;
  const child = spawn(program, [action], { stdio: ['pipe', 'pipe', 'inherit'], timeout: limits.timeoutMs });
  const { promise, resolve, reject } = Promise.withResolvers<{ code: number; text: string }>();
  let text = '';
  child.stdout.on('data', (chunk: Buffer) => {
    text += chunk.toString();
    if (text.length > limits.outputBytes) child.kill('SIGKILL');
  });
  child.stdin.on('error', () => {}); // it may end before it reads
  child.once('error', (error) =>
    reject(
      codeOf(error) === 'ENOENT'
        ? notFound(`${program}: not found in PATH`, error)
        : unavailable(program, error),
    ),
  );
  child.once('close', (code) => resolve({ code: code ?? -1, text }));
  child.stdin.end(input);
  return promise;
}

import { type ChildProcess, spawn } from 'node:child_process';
import { codeOf, messageOf, notFound, unavailable, unknown } from '../../errors/error.ts';

/** A program of others, run to its end. */
export interface Program {
  readonly file: string;
  /** Begins what is said of a failure. Default `shim <file>`. */
  readonly name?: string;
  readonly args: readonly string[];
  readonly cwd: string;
  readonly env: Readonly<Record<string, string>>;
  readonly input: Uint8Array;
  /** SIGKILL for its process group after this long. */
  readonly timeoutMs: number;
}

/** Bytes of an answer and of complaints that are kept; the rest is read and dropped. */
const maxOutputBytes = 4 * 1024 * 1024;
const maxComplaintBytes = 4096;
/** A grandchild may keep a pipe open: so long after the program's end its output counts as complete. */
const lingerMs = 500;

/**
 * What a program writes to its standard output.
 * @throws not_found (no such file), unavailable (deadline), unknown (it fails: its own words)
 */
export async function runProgram(program: Program): Promise<Buffer> {
  const { file, args, cwd, env } = program;
  const child = spawn(file, [...args], { cwd, env: { ...env }, detached: true, stdio: 'pipe' });
  let late = false;
  const timer = setTimeout(() => {
    late = true;
    killGroup(child);
  }, program.timeoutMs);
  try {
    // One that ends without reading its input is none the worse for it.
    child.stdin.on('error', () => {}).end(program.input);
    const [code, answer, complaint] = await Promise.all([
      exitOf(child, nameOf(program)),
      outputOf(child, child.stdout, maxOutputBytes),
      outputOf(child, child.stderr, maxComplaintBytes),
    ]);
    if (late) throw unavailable(`${file} did not end within ${program.timeoutMs} ms`);
    if (code !== 0) throw unknown(complaintOf(program, code, complaint, answer));
    return answer;
  } finally {
    clearTimeout(timer);
  }
}

function killGroup(child: ChildProcess): void {
  try {
    if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL');
  } catch {
    // It has ended meanwhile.
  }
}

const nameOf = ({ name, file }: Program): string => name ?? `shim ${file}`;

function exitOf(child: ChildProcess, name: string): Promise<number> {
  return new Promise((resolve, reject) => {
    child.once('error', (error) =>
      reject(
        codeOf(error) === 'ENOENT' ? notFound(name, error) : unknown(`${name}: ${messageOf(error)}`, error),
      ),
    );
    child.once('exit', (code) => resolve(code ?? -1));
  });
}

function outputOf(child: ChildProcess, stream: NodeJS.ReadableStream, maxBytes: number): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  return new Promise((resolve) => {
    const finish = () => resolve(Buffer.concat(chunks).subarray(0, maxBytes));
    stream.on('data', (chunk: Buffer) => {
      if (bytes < maxBytes) chunks.push(chunk);
      bytes += chunk.length;
    });
    stream.once('end', finish).once('error', finish);
    child.once('exit', () => setTimeout(finish, lingerMs).unref()).once('error', finish);
  });
}

function complaintOf(program: Program, code: number, ...outputs: readonly Buffer[]): string {
  const words = outputs.map((output) => printable(output)).find((text) => text !== '');
  return `${nameOf(program)}: ${words ?? `exit status ${code}`}`;
}

/** The end of a text from outside, in one line without control characters. */
export function printable(output: Uint8Array, maxLength = 500): string {
  const text = Buffer.from(output).toString();
  return text
    .replace(/[\p{Cc}\s]+/gu, ' ')
    .trim()
    .slice(-maxLength);
}

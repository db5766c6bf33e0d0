import { invalidArgument } from '../errors/error.ts';
import type { RuntimeFeatures } from '../rpc/ttrpc-shim.ts';
import { defaultRuntime, runtimeBinary } from './choose-runtime.ts';
import { runCommand } from './run-command.ts';

const patienceMs = 10_000;

/** Asks an OCI runtime what it can do; '' is the default one. @throws not_found (no such program), invalid_argument */
export async function runtimeFeatures(program: string): Promise<RuntimeFeatures> {
  if (typeof program !== 'string') throw invalidArgument('program must be a string');
  const { file } = program === '' ? await defaultRuntime() : await runtimeBinary(program);
  const { code, stdout } = await runCommand({ file, args: ['features'], timeoutMs: patienceMs });
  return { program: file, features: code === 0 ? stdout : '' };
}

import { readFileSync } from 'node:fs';
import { isAbsolute, join } from 'node:path';
import { invalidArgument } from '../errors/error.ts';

/** What an OCI runtime tells its hooks on standard input (runtime-spec, State). */
interface HookState {
  readonly id: string;
  readonly bundle: string;
  readonly pid: number;
  readonly status: string;
  readonly annotations: Readonly<Record<string, string>>;
  readonly root: string;
}

/**
 * Becomes the program that `words` names, by its path, with what stands in braces filled in, in its arguments and in its
 * environment, as `containerd oci-hook` does: `{{id}}`, `{{bundle}}`, `{{rootfs}}`, `{{pid}}`, `{{status}}`,
 * `{{annotation "key"}}`.
 * @throws invalid_argument (the state, a word); does not return otherwise
 */
export function runHook(
  words: readonly string[],
  env: Readonly<Record<string, string | undefined>>,
  stdin: string,
): never {
  const state = readState(stdin);
  const [program = '', ...args] = words.map((word) => fillIn(word, state));
  const set = Object.entries(env).map(([name, value = '']) => [name, fillIn(value, state)] as const);
  if (!isAbsolute(program)) throw invalidArgument(`${program}: a hook's program must be an absolute path`);
  if (process.execve === undefined) throw invalidArgument('this Node cannot become another program');
  process.execve(program, [program, ...args], Object.fromEntries(set));
  throw invalidArgument(`${program} could not be run`);
}

function readState(text: string): HookState {
  const { id, bundle, pid, status, annotations } = parse(text, 'the state on standard input');
  if (typeof id !== 'string' || typeof bundle !== 'string')
    throw invalidArgument('the state on standard input has no id or no bundle');
  const file = join(bundle, 'config.json');
  const root = parse(readFileSync(file, 'utf8'), file).root as { path?: unknown } | undefined;
  const path = typeof root?.path === 'string' ? root.path : '';
  return {
    id,
    bundle,
    pid: typeof pid === 'number' ? pid : 0,
    status: typeof status === 'string' ? status : '',
    annotations: (annotations ?? {}) as Readonly<Record<string, string>>,
    root: isAbsolute(path) ? path : join(bundle, path),
  };
}

function parse(text: string, what: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === 'object' && value !== null) return value as Record<string, unknown>;
  } catch (error) {
    throw invalidArgument(`${what} is not JSON`, error);
  }
  throw invalidArgument(`${what} is no object`);
}

const action = /\{\{-?\s*(.*?)\s*-?\}\}/gs;

/** Fills in what stands in braces. @throws invalid_argument for what is not known */
export function fillIn(word: string, state: HookState): string {
  return word.replace(action, (_, inner: string) => {
    const [, key] = /^annotation\s+(?:"((?:[^"\\]|\\.)*)"|`[^`]*`)$/s.exec(inner) ?? [];
    const annotation = key === undefined ? /^annotation\s+`([^`]*)`$/s.exec(inner)?.[1] : unquote(key);
    if (annotation !== undefined)
      return Object.hasOwn(state.annotations, annotation) ? (state.annotations[annotation] ?? '') : '';
    switch (inner) {
      case 'id':
      case 'bundle':
      case 'status':
        return state[inner];
      case 'pid':
        return String(state.pid);
      case 'rootfs':
        return state.root;
    }
    throw invalidArgument(
      `{{${inner}}} is not known: want id, bundle, rootfs, pid, status or annotation "key"`,
    );
  });
}

const unquote = (text: string): string => JSON.parse(`"${text}"`) as string;

import { invalidArgument } from '../../errors/error.ts';

/** What a daemon says to a shim's program, in the flags of Go: `-id X`, `-id=X` and `--id X` are the same. */
export interface LauncherFlags {
  readonly namespace: string;
  readonly id: string;
  readonly debug: boolean;
  readonly action: 'start' | 'delete' | 'info' | 'version';
}

const withValue = new Set([
  'namespace',
  'id',
  'address',
  'publish-binary',
  'bundle',
  'socket',
  'debug-socket',
]);
const actions = ['start', 'delete'] as const;

/** @throws invalid_argument (a flag or action that is not known, no id) */
export function parseFlags(args: readonly string[]): LauncherFlags {
  const values = new Map<string, string>();
  const words: string[] = [];
  for (let i = 0; i < args.length; i++) {
    const [, name, value] = /^--?([a-z][a-z-]*)(?:=(.*))?$/s.exec(args[i] ?? '') ?? [];
    if (name === undefined) words.push(args[i] ?? '');
    else if (withValue.has(name)) values.set(name, value ?? args[++i] ?? '');
    else if (['debug', 'v', 'version', 'info'].includes(name)) values.set(name, value ?? 'true');
    else throw invalidArgument(`flag provided but not defined: -${name}`);
  }
  const isSet = (name: string) => values.has(name) && values.get(name) !== 'false';
  const told = {
    namespace: values.get('namespace') ?? '',
    id: values.get('id') ?? '',
    debug: isSet('debug'),
  };
  if (isSet('v') || isSet('version')) return { ...told, action: 'version' };
  if (isSet('info')) return { ...told, action: 'info' };
  const action = actions.find((known) => known === words[0]);
  if (action === undefined || words.length > 1)
    throw invalidArgument(`want start or delete, not ${words.join(' ')}`);
  if (told.namespace === '' || told.id === '') throw invalidArgument('-namespace and -id must be set');
  return { ...told, action };
}

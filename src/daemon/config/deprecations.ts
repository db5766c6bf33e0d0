import { isZero, valueAt } from './settings.ts';

/** Something that a configuration uses and that will go: what `ctr deprecations ls` shows. */
export interface Deprecation {
  /** containerd's name of it. */
  readonly id: string;
  readonly message: string;
}

interface Rule extends Deprecation {
  readonly path: readonly string[];
  /** Default: it says something. */
  readonly applies?: (value: unknown) => boolean;
}

const registry = ['plugins', 'io.containerd.cri.v1.images', 'registry'];
const runtime = ['plugins', 'io.containerd.cri.v1.runtime'];
const useHosts = 'write a hosts.toml for the host in a directory that `config_path` names';
const useOtel = 'set the OTEL_* variables of the daemon instead';

const rules: readonly Rule[] = [
  {
    id: 'cri-registry-mirrors',
    path: [...registry, 'mirrors'],
    message: `\`registry.mirrors\` is not read: ${useHosts}`,
  },
  {
    id: 'cri-registry-auths',
    path: [...registry, 'auths'],
    message: '`registry.auths` is not read: let the client send credentials with each pull',
  },
  {
    id: 'cri-registry-configs',
    path: [...registry, 'configs'],
    message: `\`registry.configs\` is not read: ${useHosts}`,
  },
  {
    id: 'cri-cni-bin-dir',
    path: [...runtime, 'cni', 'bin_dir'],
    message: '`cni.bin_dir` is an old name: use `cni.bin_dirs`, an array',
  },
  {
    id: 'enable-cdi',
    path: [...runtime, 'enable_cdi'],
    applies: (value) => value === false,
    message: '`enable_cdi = false` is not obeyed: devices by CDI are always allowed',
  },
  {
    id: 'tracing-processor-config',
    path: ['plugins', 'io.containerd.tracing.processor.v1.otlp'],
    message: `the table is not read: ${useOtel}`,
  },
  {
    id: 'tracing-service-config',
    path: ['plugins', 'io.containerd.internal.v1.tracing'],
    message: `the table is not read: ${useOtel}`,
  },
];

/** What of a file of the latest version, as a table, is deprecated. */
export const deprecationsOf = (table: unknown): Deprecation[] =>
  rules
    .filter(({ path, applies = (value) => !isEmptyThroughout(value) }) => {
      const value = valueAt(table, path);
      return value !== undefined && applies(value);
    })
    .map(({ id, message }) => ({ id: `io.containerd.deprecation/${id}`, message }));

const isEmptyThroughout = (value: unknown): boolean =>
  isZero(value) ||
  (typeof value === 'object' && value !== null && Object.values(value).every(isEmptyThroughout));

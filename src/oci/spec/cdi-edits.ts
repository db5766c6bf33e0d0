import { invalidArgument } from '../../errors/error.ts';
import type { CdiHook, CdiMount, ContainerEdits } from './cdi-spec.ts';
import { isCdiName } from './cdi-spec.ts';
import type { Device, DeviceRule, Hooks, RuntimeSpec, SpecMount } from './runtime-spec.ts';

/** Edits whose device nodes have been looked up on the host. */
export interface ResolvedEdits extends Omit<ContainerEdits, 'deviceNodes'> {
  readonly devices: readonly GivenDevice[];
}

/** A device for a container, and what it may do with it. */
export interface GivenDevice extends Device {
  /** Of r, w, m. */
  readonly access: string;
}

/** What the devices of a container make of its specification. The same device or mount twice is replaced. Pure. */
export function withEdits(spec: RuntimeSpec, edits: ResolvedEdits): RuntimeSpec {
  const { process: first, mounts, linux, hooks = {} } = spec;
  const names = new Set(edits.env.map(nameOf));
  const gids = new Set([...(first.user.additionalGids ?? []), ...edits.additionalGids]);
  return {
    ...spec,
    process: {
      ...first,
      user: { ...first.user, additionalGids: [...gids] },
      env: [...first.env.filter((text) => !names.has(nameOf(text))), ...edits.env],
    },
    mounts: edits.mounts.reduce(withMount, mounts),
    linux: {
      ...linux,
      devices: edits.devices.reduce(withDevice, linux.devices ?? []),
      resources: { ...linux.resources, devices: [...linux.resources.devices, ...edits.devices.map(ruleOf)] },
    },
    ...(edits.hooks.length > 0 && { hooks: edits.hooks.reduce(withHook, hooks) }),
  };
}

/** The devices that annotations ask for: `cdi.k8s.io/<any>: vendor/class=name,…`. @throws invalid_argument */
export function cdiNamesOf(annotations: Readonly<Record<string, string>>): string[] {
  const lists = Object.entries(annotations).filter(([key]) => key.startsWith('cdi.k8s.io/'));
  const names = lists.flatMap(([, value]) => value.split(','));
  const odd = names.find((name) => !isCdiName(name));
  if (odd !== undefined)
    throw invalidArgument(`CDI device ${JSON.stringify(odd.slice(0, 100))}: want vendor/class=name`);
  return [...new Set(names)];
}

const nameOf = (variable: string): string => variable.slice(0, variable.indexOf('='));

const ruleOf = ({ type, major, minor, access }: GivenDevice): DeviceRule => ({
  allow: true,
  type,
  major,
  minor,
  access,
});

const withDevice = (devices: readonly Device[], { access: _, ...device }: GivenDevice): Device[] => [
  ...devices.filter(({ path }) => path !== device.path),
  device,
];

/** After all above it, so that it is not hidden. */
const withMount = (mounts: readonly SpecMount[], mount: CdiMount): SpecMount[] => [
  ...mounts.filter(({ destination }) => destination !== mount.containerPath),
  {
    destination: mount.containerPath,
    source: mount.hostPath,
    type: mount.type ?? 'bind',
    options: mount.options ?? ['rbind', 'ro'],
  },
];

const withHook = (hooks: Hooks, { hookName, ...hook }: CdiHook): Hooks => ({
  ...hooks,
  [hookName]: [...(hooks[hookName] ?? []), hook],
});

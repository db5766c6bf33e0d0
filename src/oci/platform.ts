import { invalidArgument } from '../errors/error.ts';

/** An OCI platform, normalised as containerd does (`x86_64` → `amd64`, `arm64` variant `v8` → ''). */
export interface Platform {
  readonly os: string;
  readonly architecture: string;
  readonly variant?: string;
  readonly osVersion?: string;
  readonly osFeatures?: readonly string[];
}

const architectures: Readonly<Record<string, readonly [string, string?]>> = {
  i386: ['386', ''],
  x86_64: ['amd64'],
  'x86-64': ['amd64'],
  aarch64: ['arm64'],
  armhf: ['arm', 'v7'],
  armel: ['arm', 'v6'],
};
const nodeArchitectures: Readonly<Record<string, string>> = { x64: 'amd64', ia32: '386', ppc64: 'ppc64le' };
const knownOs = new Set(
  'aix android darwin dragonfly freebsd illumos ios js linux nacl netbsd openbsd plan9 solaris windows'.split(
    ' ',
  ),
);
const knownArchitectures = new Set(
  '386 amd64 arm arm64 loong64 mips mips64 mips64le mipsle ppc64 ppc64le riscv64 s390x wasm'.split(' '),
);

/** Folds the names of one platform into one spelling. Idempotent. */
export function normalizePlatform(platform: Platform): Platform {
  const os = normalizeOs(platform.os);
  const [architecture, variant] = normalizeArchitecture(platform.architecture, platform.variant ?? '');
  const { variant: _, ...rest } = platform;
  return { ...rest, os, architecture, ...(variant === '' ? {} : { variant }) };
}

/** The platform this process runs on. */
export const hostPlatform = (): Platform =>
  normalizePlatform({ os: 'linux', architecture: nodeArchitectures[process.arch] ?? process.arch });

/** Parses `os/arch[/variant]`, `os` or `arch` alone (the rest from the host). @throws invalid_argument */
export function parsePlatform(text: string): Platform {
  const parts = text.split('/');
  if (parts.length > 3 || !parts.every((part) => /^[A-Za-z0-9][A-Za-z0-9_.-]*$/.test(part)))
    throw invalidArgument(`invalid platform ${JSON.stringify(text.slice(0, 100))}, want os/arch[/variant]`);
  const [first = '', architecture, variant] = parts;
  if (architecture === undefined) return parseOne(first);
  return normalizePlatform({ os: first, architecture, ...(variant === undefined ? {} : { variant }) });
}

/** `os/arch[/variant]`. */
export const formatPlatform = ({ os, architecture, variant }: Platform): string =>
  [os, architecture, variant].filter((part) => part !== undefined && part !== '').join('/');

/** Which platforms run on a wanted one. `rank` is 0 for the best, undefined for one that does not run. */
export interface PlatformMatcher {
  rank(platform: Platform): number | undefined;
}

/** Accepts `wanted` and what it can run too, best first (containerd's `platforms.Only`): arm/v7 runs v6 and v5. */
export function platformMatcher(wanted: Platform): PlatformMatcher {
  const ranks = new Map(
    platformVector(normalizePlatform(wanted)).map((p, rank) => [formatPlatform(p), rank]),
  );
  return { rank: (platform) => ranks.get(formatPlatform(normalizePlatform(platform))) };
}

function platformVector(p: Platform): Platform[] {
  const { os, architecture, variant = '' } = p;
  const lower = (from: number, to: number): Platform[] =>
    Array.from({ length: Math.max(0, from - to) }, (_, i) =>
      normalizePlatform({ os, architecture, variant: `v${from - 1 - i}` }),
    );
  const version = Number(/^v(\d+)$/.exec(variant)?.[1] ?? 0);
  if (architecture === 'amd64') return [p, ...lower(version, 1), { os, architecture: '386' }];
  if (architecture === 'arm') return [p, ...lower(version, 5)];
  if (architecture === 'arm64')
    return [...arm64Vector(p), ...platformVector({ os, architecture: 'arm', variant: 'v8' })];
  return [p];
}

/** v9 runs v8; point versions run the ones before them. */
function arm64Vector(p: Platform): Platform[] {
  const [, major, minor] = /^v(\d)(?:\.(\d+))?$/.exec(p.variant ?? 'v8') ?? [];
  if (major === undefined) return [p];
  const steps = Array.from(
    { length: Number(minor ?? 0) + 1 },
    (_, i) => `v${major}${pointOf(Number(minor ?? 0) - i)}`,
  );
  const older = major === '9' ? Array.from({ length: 10 }, (_, i) => `v8${pointOf(9 - i)}`) : [];
  return [...steps, ...older].map((variant) =>
    normalizePlatform({ os: p.os, architecture: 'arm64', variant }),
  );
}

const pointOf = (minor: number): string => (minor === 0 ? '' : `.${minor}`);

function parseOne(text: string): Platform {
  const host = hostPlatform();
  const os = normalizeOs(text);
  if (knownOs.has(os)) return { ...host, os };
  const [architecture, variant] = normalizeArchitecture(text, '');
  if (!knownArchitectures.has(architecture))
    throw invalidArgument(`unknown platform ${JSON.stringify(text)}, want os/arch[/variant]`);
  return { os: host.os, architecture, ...(variant === '' ? {} : { variant }) };
}

function normalizeOs(os: string): string {
  const lower = os.toLowerCase();
  if (lower === '') return 'linux';
  return lower === 'macos' ? 'darwin' : lower;
}

function normalizeArchitecture(name: string, givenVariant: string): [string, string] {
  const lower = name.toLowerCase();
  const alias = Object.hasOwn(architectures, lower) ? architectures[lower] : undefined;
  const architecture = alias?.[0] ?? lower;
  return [architecture, normalizeVariant(architecture, alias?.[1] ?? givenVariant.toLowerCase())];
}

function normalizeVariant(architecture: string, variant: string): string {
  const v = /^\d/.test(variant) && /^(?:amd64|arm|arm64)$/.test(architecture) ? `v${variant}` : variant;
  if (architecture === 'amd64') return v === 'v1' ? '' : v;
  if (architecture === 'arm64') return v === 'v8' || v === 'v8.0' ? '' : v === 'v9.0' ? 'v9' : v;
  if (architecture === 'arm') return v === '' ? 'v7' : v;
  return v;
}

import type { Descriptor } from '../../oci/descriptor.ts';
import { nameAnnotations } from './layout.ts';

/** How images of an archive are to be named: containerd's ImageReference with `is_prefix`. */
export interface NamePrefix {
  /** Put before a name that is only a tag, as `prefix:tag`. */
  readonly prefix: string;
  /** A whole name is taken though it does not begin with `prefix`. */
  readonly allowOverwrite: boolean;
  /** Also `prefix@digest`; with `skipNamedDigest` only for an image that has no other name. */
  readonly addDigest: boolean;
  readonly skipNamedDigest: boolean;
}

/** The names to record an image of an archive under, by its annotations; none: it is not recorded. */
export function namesInArchive(descriptor: Descriptor, prefixes: readonly NamePrefix[]): string[] {
  return [...new Set(prefixes.flatMap((prefix) => namesBy(descriptor, prefix)))];
}

function namesBy({ annotations = {}, digest }: Descriptor, wanted: NamePrefix): string[] {
  const name = annotatedName(annotations, wanted);
  const named = name === undefined ? [] : [name];
  const digested = wanted.addDigest && (name === undefined || !wanted.skipNamedDigest);
  return digested ? [...named, `${wanted.prefix}@${digest}`] : named;
}

/** containerd's annotation holds a whole name or nothing; OCI's may hold only a tag. */
function annotatedName(
  annotations: Readonly<Record<string, string>>,
  wanted: NamePrefix,
): string | undefined {
  const whole = annotations[nameAnnotations.imageName];
  if (whole !== undefined && whole !== '') return /[/:@]/.test(whole) ? accept(whole, wanted) : undefined;
  const short = annotations[nameAnnotations.refName];
  if (short === undefined || short === '' || wanted.prefix === '') return undefined;
  return /[/:@]/.test(short) ? accept(short, wanted) : `${wanted.prefix}:${short}`;
}

function accept(name: string, { prefix, allowOverwrite }: NamePrefix): string | undefined {
  if (prefix === '') return undefined;
  if (allowOverwrite || name === prefix) return name;
  return name.startsWith(prefix) && '/:@'.includes(name.charAt(prefix.length)) ? name : undefined;
}

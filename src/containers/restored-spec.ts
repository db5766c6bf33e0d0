import { invalidArgument } from '../errors/error.ts';
import type { Any } from '../oci/any.ts';
import { specTypeUrl } from '../oci/spec/runtime-spec.ts';
import { toAny } from './exec-spec.ts';

/** A specification that a checkpoint kept, as far as it matters here. */
interface KeptSpec {
  readonly process?: { readonly terminal?: unknown };
  readonly linux?: object;
}

/** The specification of a container made again of a checkpoint: its own but for the cgroup, which another may have. */
export function restoredSpec(spec: Any, namespace: string, id: string): Any {
  const kept = parse(spec);
  return toAny(specTypeUrl, { ...kept, linux: { ...kept.linux, cgroupsPath: `/${namespace}/${id}` } });
}

/** Whether the process of a kept specification has a terminal. @throws invalid_argument */
export const keptTerminal = (spec: Any): boolean => parse(spec).process?.terminal === true;

function parse({ typeUrl, value }: Any): KeptSpec {
  try {
    const spec: unknown = JSON.parse(Buffer.from(value).toString('utf8'));
    if (typeUrl.endsWith(specTypeUrl) && typeof spec === 'object' && spec !== null) return spec;
  } catch {
    // Said below.
  }
  throw invalidArgument('the checkpoint holds no runtime specification');
}

import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { mediaTypes } from '../../src/oci/media-types.ts';
import { TestRegistry } from '../kit/registry.ts';
import { run } from '../kit/run.ts';
import type { Setting } from './clients.ts';
import type { Known } from './journal.ts';
import type { Random } from './random.ts';

/** A command of berth that may be cut off, and then is given again. */
export interface Attempt extends AsyncDisposable {
  readonly args: readonly string[];
  /** A line for each thing that is wrong beyond the daemon; `isDone`: the command was acknowledged. */
  check(isDone: boolean): Promise<string[]>;
}

export interface Verb {
  readonly name: string;
  /** What the images but the first are once it is acknowledged; undefined: as before. */
  readonly leaves: Known | undefined;
  prepare(): Promise<Attempt>;
}

/** Each finds what the one before it has left. `archive`: where `berth save` has put all images. */
export const transferVerbs = (set: Setting, random: Random, archive: string): readonly Verb[] => [
  { name: 'push', leaves: undefined, prepare: () => pushing(random.pick(set.images), set.dir) },
  { name: 'prune', leaves: 'absent', prepare: async () => plain('prune', '-a', '-f') },
  { name: 'load', leaves: 'present', prepare: async () => plain('load', '-q', '-i', archive) },
];

const plain = (...args: string[]): Attempt => ({
  args,
  check: async () => [],
  [Symbol.asyncDispose]: async () => {},
});

/** Into a registry of its own: one that has the layers already would only be asked to mount them. */
async function pushing(image: string, dir: string): Promise<Attempt> {
  const registry = await TestRegistry.start();
  return {
    args: ['push', '-q', image, `${registry.host}/pushed:1`],
    check: (isDone) => checkTag(registry.host, join(dir, 'pushed'), isDone),
    [Symbol.asyncDispose]: () => registry[Symbol.asyncDispose](),
  };
}

/** A tag is there only when all that it leads to is, by skopeo's word. */
async function checkTag(host: string, scratch: string, isDone: boolean): Promise<string[]> {
  const accept = `${mediaTypes.ociManifest}, ${mediaTypes.dockerManifest}`;
  const answer = await fetch(`http://${host}/v2/pushed/manifests/1`, { method: 'HEAD', headers: { accept } });
  if (answer.status === 404) return isDone ? ['I1: what was pushed is not at the registry'] : [];
  const from = ['--src-tls-verify=false', `docker://${host}/pushed:1`];
  const { status, stderr } = await run('skopeo', ['copy', '-q', ...from, `dir:${scratch}`]);
  rmSync(scratch, { recursive: true, force: true });
  return status === 0 ? [] : [`I3: a tag of the registry leads to nothing whole: ${stderr}`];
}

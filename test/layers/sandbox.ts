import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type AppliedLayer, type ApplyRequest, applyLayer } from '../../src/layers/apply.ts';
import { compareTrees, readTree, type Tree } from '../kit/tree.ts';

/** A target directory with a host beside it that must not change. Disposing removes all of it. */
export interface Sandbox extends Disposable {
  readonly path: string;
  readonly target: string;
  /** Stands for the host: a file, a directory and what a link may lead to. */
  readonly host: string;
  /** HOST-UNCHANGED: fails when anything beside the target is not as it was. */
  assertHostUnchanged(): void;
}

const scratch = process.env.BERTH_TEST_SCRATCH ?? '/var/tmp';

export function makeSandbox(): Sandbox {
  const path = mkdtempSync(join(scratch, 'berth-layers-'));
  const [target, host] = [join(path, 'target'), join(path, 'host')];
  mkdirSync(target);
  mkdirSync(join(host, 'dir'), { recursive: true });
  writeFileSync(join(host, 'sentinel'), 'untouched', { mode: 0o600 });
  writeFileSync(join(host, 'dir/file'), 'untouched');
  const before: Tree = readTree(host);
  return {
    path,
    target,
    host,
    assertHostUnchanged() {
      assert.deepEqual(compareTrees(readTree(host), before), []);
      assert.deepEqual(readdirSync(path).sort(), ['host', 'target']);
    },
    [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }),
  };
}

/** Applies plain tar bytes. */
export function applyTar(
  archive: Buffer,
  to: ApplyRequest['to'],
  more: Partial<ApplyRequest> = {},
): Promise<AppliedLayer> {
  const mediaType = 'application/vnd.oci.image.layer.v1.tar';
  return applyLayer({ source: chunks(archive), mediaType, to, ...more });
}

async function* chunks(archive: Buffer): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < archive.length; at += 1 << 20) yield archive.subarray(at, at + (1 << 20));
}

/** The overlay mount of a snapshot whose upperdir is `upper`, without lower directories. */
export const upperMount = (upper: string) => [
  { type: 'overlay', source: 'overlay', options: ['index=off', `upperdir=${upper}`] },
];

import assert from 'node:assert/strict';
import { mkdirSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { DriverSnapshot, SnapshotDriver } from '../../src/snapshots/driver.ts';
import type { Mount, SnapshotUsage } from '../../src/snapshots/snapshotter.ts';
import { output } from '../kit/run.ts';

/**
 * overlayfs whose committed snapshots are all layer files: what was written to the upper directory is made into an EROFS
 * image by mkfs.erofs just before the commit, whiteouts and all, and put in by the door that Diff.Apply takes.
 */
export class LayeringDriver implements SnapshotDriver {
  readonly #driver: SnapshotDriver;

  constructor(driver: SnapshotDriver) {
    this.#driver = driver;
  }

  get name(): string {
    return this.#driver.name;
  }
  get capabilities(): readonly string[] {
    return this.#driver.capabilities;
  }
  get root(): string {
    return this.#driver.root;
  }
  restore(standing: readonly DriverSnapshot[]): void {
    this.#driver.restore?.(standing);
  }
  create(snapshot: DriverSnapshot): Promise<'committed' | undefined> {
    return this.#driver.create(snapshot);
  }
  mounts(snapshot: DriverSnapshot): Promise<Mount[]> {
    return this.#driver.mounts(snapshot);
  }
  usage(snapshot: DriverSnapshot): Promise<SnapshotUsage> {
    return this.#driver.usage(snapshot);
  }
  remove(id: number): Promise<void> {
    return this.#driver.remove(id);
  }
  cleanup(known: ReadonlySet<number>): Promise<number[]> {
    return this.#driver.cleanup(known);
  }

  async commit(snapshot: DriverSnapshot): Promise<SnapshotUsage> {
    const fs = join(this.root, 'snapshots', String(snapshot.id), 'fs');
    await toLayer(this.#driver, fs);
    return this.#driver.commit(snapshot);
  }
}

/** Replaces what is in the directory of an active snapshot by a layer file of the same content. */
export async function toLayer(driver: SnapshotDriver, fs: string): Promise<void> {
  const written = `${fs}.written`;
  renameSync(fs, written);
  mkdirSync(fs, { mode: 0o755 });
  const mounts = [{ type: 'overlay', source: 'overlay', options: [`upperdir=${fs}`] }];
  await using target = await driver.applyTarget?.(mounts);
  assert.ok(target?.layer, 'an empty snapshot may become a layer file');
  await output('mkfs.erofs', ['--quiet', target.layer.path, written]);
  await target.layer.adopt();
  rmSync(written, { recursive: true });
}

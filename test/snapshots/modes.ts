import { mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { isKind } from '../../src/errors/error.ts';
import type { LayerMode } from '../../src/snapshots/layer-mode.ts';
import { openOverlayDriver } from '../../src/snapshots/overlayfs/driver.ts';

/** Why a mode cannot be tested on this machine (its kernel is too old), false where it can: the `skip` of a test. */
export async function cannot(mode: LayerMode): Promise<string | false> {
  const dir = mkdtempSync(join(process.env.BERTH_TEST_SCRATCH ?? '/var/tmp', 'berth-modes-'));
  try {
    await using _driver = await openOverlayDriver({ root: dir, mode });
    return false;
  } catch (error) {
    if (isKind(error, 'failed_precondition')) return String(error);
    throw error;
  } finally {
    rmSync(dir, { recursive: true });
  }
}

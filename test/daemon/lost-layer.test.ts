import assert from 'node:assert/strict';
import { existsSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { ClientStage } from '../clients/table.ts';
import { cannot } from '../snapshots/modes.ts';

/** The layer file of the only image that is there. */
function layerFile(root: string): string {
  const snapshots = join(root, 'snapshots/overlayfs/snapshots');
  const id = readdirSync(snapshots).find((name) => existsSync(join(snapshots, name, 'layer.erofs')));
  assert.ok(id, 'the image is a layer file');
  return join(snapshots, id, 'layer.erofs');
}

test('a lost layer file does not stop the start, is named where it is missed, and comes back by pulling again', {
  skip: process.env.BERTH_TEST_LAYERS === undefined ? await cannot('erofs') : 'layers are set otherwise',
}, async () => {
  await using stage = await ClientStage.open();
  const ctr = (line: string) => stage.line('v2', line);
  const works = async (line: string) => {
    const { status, shown } = await ctr(line);
    assert.equal(status, 0, shown);
  };
  await works('$C images pull --plain-http $IMG && $C run -d $IMG runs sleep 1000');
  rmSync(layerFile(stage.daemon.root));
  await works('$C task exec --exec-id e runs ls /bin');
  await stage.daemon.restart('SIGKILL');
  const { status, shown } = await ctr('$C run --rm $IMG t true');
  assert.equal(status, 1);
  assert.match(
    shown,
    /snapshot sha256:[0-9a-f]{64} is lost: its layer file is missing: remove its image and pull it again/,
  );
  await works('$C task rm -f runs; $C container rm runs && $C images rm --sync $IMG');
  await works('$C images pull --plain-http $IMG && $C run --rm $IMG t true');
});

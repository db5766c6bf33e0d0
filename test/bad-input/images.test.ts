import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { type Generation, generations, runLine } from '../clients/table.ts';
import { violationsAtRest } from '../kit/checker.ts';
import { startDaemon, type TestDaemon } from '../kit/daemon.ts';
import { always, digestOf, FlakyRegistry, type ImageChange, sendBlob, tarOf } from '../kit/flaky-registry.ts';
import { file, hardlink, symlink, tar } from '../kit/tar-builder.ts';

const good = tarOf({ 'etc/motd': 'hello' });
const layer = gzipSync(good);

interface Spoiled {
  readonly prepare: (registry: FlakyRegistry) => void;
  /** What ctr 1 (which fetches, writes and applies by itself) and ctr 2 (which asks Transfer) are told. */
  readonly says: Readonly<Record<Generation, RegExp>>;
}

const image = (registry: FlakyRegistry, tars: readonly Buffer[], change: ImageChange = {}): unknown =>
  registry.addImage('spoiled', 'x', tars, change);
const both = (says: RegExp) => ({ v1: says, v2: says });

/** Serves `bytes` for the layer in place of its own. */
function layerServedAs(registry: FlakyRegistry, bytes: Buffer): void {
  image(registry, [good]);
  registry.scripts.push(
    always(new RegExp(`^GET .*/blobs/${digestOf(layer)}`), (request, response) =>
      sendBlob(request, response, bytes),
    ),
  );
}

const flipped = Buffer.from(layer);
flipped.writeUInt8(flipped.readUInt8(30) ^ 1, 30);

const spoiled: Readonly<Record<string, Spoiled>> = {
  'an unknown image': { prepare: () => {}, says: both(/not found/) },
  'one flipped byte in a layer': {
    prepare: (registry) => layerServedAs(registry, flipped),
    says: both(/unexpected commit digest|digest mismatch|sha256:.*(expected|instead)/),
  },
  'a layer shorter than described': {
    prepare: (registry) => layerServedAs(registry, layer.subarray(0, -10)),
    says: both(/unexpected (EOF|commit)|short read|ended|size|bytes/),
  },
  'a layer longer than described': {
    prepare: (registry) => layerServedAs(registry, Buffer.concat([layer, Buffer.alloc(10)])),
    says: both(/unexpected commit (size|digest)|too (long|large|many)|size|bytes/),
  },
  'a descriptor that claims another size': {
    prepare: (registry) =>
      image(registry, [good], {
        manifest: ([first]) => ({ layers: [{ ...first, size: layer.length + 5 }] }),
      }),
    says: both(/unexpected EOF|short read|size|bytes/),
  },
  'a truncated gzip with the right digest': {
    prepare: (registry) => {
      const cut = registry.addBlob(layer.subarray(0, layer.length - 20));
      image(registry, [good], { manifest: () => ({ layers: [cut] }) });
    },
    says: both(/unexpected (EOF|end)|truncated|ends? (early|in the middle)|incomplete|corrupt/i),
  },
  'a layer that unpacks to another diff ID': {
    prepare: (registry) =>
      image(registry, [good], { config: { rootfs: { type: 'layers', diff_ids: [digestOf(layer)] } } }),
    says: both(/wrong diff id|diff ID/i),
  },
  'a tar that climbs out by dots': {
    prepare: (registry) => image(registry, [tar(file('../../../../berth-escaped', 'x'))]),
    says: both(/"\.\.\/\.\.\/\.\.\/\.\.\/berth-escaped" climbs out of the layer: invalid argument/),
  },
  'a tar whose hard link climbs out': {
    prepare: (registry) => image(registry, [tar(hardlink('out', '../../../../etc/passwd'))]),
    says: both(/climbs out of the layer: invalid argument|not found|no such file/),
  },
  'a digest that is none': {
    prepare: (registry) =>
      image(registry, [good], { manifest: ([first]) => ({ layers: [{ ...first, digest: 'sha256:12zz' }] }) }),
    says: both(/digest/),
  },
  'a digest of a blob that is not there': {
    prepare: (registry) =>
      image(registry, [good], {
        manifest: ([first]) => ({ layers: [{ ...first, digest: digestOf(Buffer.from('typo')) }] }),
      }),
    says: both(/not found/),
  },
  'a config that is not JSON': {
    prepare: (registry) => image(registry, [good], { configText: '{"os":"linux",' }),
    says: both(/unexpected end of JSON input|JSON/),
  },
  'a manifest that is not JSON': {
    prepare: (registry) => registry.addManifest('spoiled', 'x', 'not json'),
    says: both(/JSON|invalid character/),
  },
};

let daemon: TestDaemon;
before(async () => {
  daemon = await startDaemon();
});
after(() => daemon[Symbol.asyncDispose]());

for (const generation of Object.keys(generations) as Generation[]) {
  describe(`ctr ${generation} pulling`, () => {
    for (const [name, { prepare, says }] of Object.entries(spoiled)) {
      test(`${name}: is told clearly, leaves nothing, and the daemon goes on`, async () => {
        await using registry = await FlakyRegistry.start();
        prepare(registry);
        const { pid } = daemon;
        const ctr = (line: string) =>
          runLine(daemon, generation, line, { IMG: `${registry.host}/spoiled:x` });
        const { status, shown } = await ctr(
          '$C images pull --plain-http $IMG | tail -2; exit $' + '{PIPESTATUS[0]}',
        );
        assert.notEqual(status, 0, shown);
        assert.match(shown, says[generation]);
        assert.equal(
          (await ctr('ls /berth-escaped /var/berth-escaped 2>/dev/null; $C snapshots ls | grep -c Active'))
            .shown,
          '0',
        );
        await ctr('$C images rm $IMG; $C leases create --id gc; $C leases rm --sync gc');
        assert.equal(
          (await ctr('$C images ls -q; $C content ls -q; $C snapshots ls | tail -n +2')).shown,
          '',
        );
        assert.deepEqual(await violationsAtRest(daemon.root, daemon.state), []);
        assert.equal(daemon.pid, pid);
      });
    }

    test('their twin, whose link to / is followed inside the layer, pulls', async () => {
      await using registry = await FlakyRegistry.start();
      image(registry, [good, tar(symlink('out', '/'), file('out/berth-escaped', 'inside'))]);
      const { status, shown } = await runLine(
        daemon,
        generation,
        '$C images pull --plain-http $IMG >/dev/null && $C images check | tail -1; ls /berth-escaped; $C images rm --sync $IMG >/dev/null',
        {
          IMG: `${registry.host}/spoiled:x`,
        },
      );
      assert.equal(status, 0, shown);
      assert.match(shown, /complete \(3\/3\) .* true\nls: cannot access '\/berth-escaped'/);
    });
  });
}

import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { restartLabels as names } from '../../src/oci/label-names.ts';
import { SecurityStage } from './stage.ts';

let stage: SecurityStage;
before(async () => {
  const config = '[plugins."io.containerd.monitor.container.v1.restart"]\ninterval = "200ms"\n';
  stage = await SecurityStage.open({}, config);
});
after(() => stage[Symbol.asyncDispose]());

test('CVE-2026-53488: restart labels that a client copied from the image restart nothing and run no program', async () => {
  const marker = join(stage.daemon.dir, 'marker');
  const evil = {
    [names.status]: 'running',
    [names.policy]: 'always',
    [names.logUri]: `binary:///bin/touch?${marker}`,
  };
  const image = stage.image('evil', { Labels: evil });
  const own = stage.image('own');
  const { containers, images } = stage.berth;
  for (const reference of [image, own]) await images.pull(reference).image();
  const make = async (id: string, reference: string, labels: Record<string, string>) => {
    await containers.create({ id, image: reference, args: ['/bin/true'] });
    // What `ctr run` of 1.6 does with the labels of an image.
    await containers.label(id, labels);
  };
  await make('copied', image, evil);
  await make('chosen', own, { [names.status]: 'running', [names.policy]: 'always' });
  const count = async (id: string) => (await containers.get(id)).labels[names.count];
  while ((await count('chosen')) === undefined) await sleep(50);
  while (!/label containerd.io\/restart.\w+ is the image's, not a client's/.test(stage.daemon.log()))
    await sleep(50);
  assert.equal(await count('copied'), undefined);
  assert.ok(!existsSync(marker));
});

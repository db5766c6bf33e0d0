import assert from 'node:assert/strict';
import type { BerthClient } from '../../src/client/index.ts';
import { startDaemon, type TestDaemon } from '../kit/daemon.ts';
import { removeCgroups } from '../kit/leftovers.ts';
import { TestRegistry } from '../kit/registry.ts';
import type { Setting } from './clients.ts';
import { pushImages } from './images.ts';
import { Journal } from './journal.ts';
import { checkAll, connectTo, keepEvidence } from './round.ts';
import { Sequence } from './sequence.ts';

/**
 * What a test of chaos stands on: a registry with images, a daemon that has the first of them, and a container of it whose
 * output a {@link Sequence} reads through everything that happens.
 */
export interface ChaosStage extends AsyncDisposable {
  readonly daemon: TestDaemon;
  readonly journal: Journal;
  readonly set: Setting;
  /** Of the first namespace. */
  readonly client: BerthClient;
  /** What contradicts I1 to I10 now, a line each. */
  violations(): Promise<string[]>;
  /** Fails where anything was found; what explains it is kept under that name. */
  assertNone(found: readonly string[], name: string): void;
}

/** `initials`: one letter for each of the two namespaces; no other test on this machine may use the same. */
export async function openChaos(initials: readonly [string, string]): Promise<ChaosStage> {
  await using opened = new AsyncDisposableStack();
  const registry = opened.use(await TestRegistry.start());
  const images = await pushImages(registry);
  const namespaces = [`${initials[0]}${process.pid}`, `${initials[1]}${process.pid}`] as const;
  opened.defer(() => removeCgroups(namespaces));
  const daemon = opened.use(await startDaemon({ logLevel: 'info' }));
  const journal = new Journal();
  const client = opened.use(connectTo(daemon, namespaces[0]));
  const [first = ''] = images;
  await client.images.pull(first).image();
  journal.images.set(`${namespaces[0]} ${first}`, 'present');
  const sequence = opened.use(await Sequence.start(client, first));
  journal.runners.set(sequence.id, sequence.runner);
  const all = opened.move();
  return {
    daemon,
    journal,
    client,
    set: { address: daemon.address, namespaces, journal, images, dir: daemon.dir },
    violations: async () => [
      // A daemon that does not answer is a finding as well: its log, kept as evidence, tells why.
      ...(await checkAll(daemon, journal, namespaces).catch((error: unknown) => [`cannot check: ${error}`])),
      ...sequence.violations(),
      ...journal.lies.splice(0),
    ],
    assertNone(found, name) {
      if (found.length > 0) keepEvidence(daemon, found, name);
      assert.deepEqual(found, []);
    },
    [Symbol.asyncDispose]: () => all.disposeAsync(),
  };
}

import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { type BerthClient, connect } from '../../src/client/index.ts';
import { violationsAtRest } from '../kit/checker.ts';
import { startDaemon, type TestDaemon } from '../kit/daemon.ts';
import { FlakyRegistry, tarOf } from '../kit/flaky-registry.ts';

/** Everything that changes a file and nothing that a socket or the event loop needs. */
const calls =
  'pwrite64,pwritev,pwritev2,fsync,fdatasync,sync_file_range,syncfs,ftruncate,fallocate,rename,renameat,renameat2';
/** Fails for ever? Then the fault is not met any more and the row of faults is at its end. */
const most = 60;
/** Every single call takes minutes: that is for whoever changes what is written, and when. */
const stride = process.env.BERTH_EVERY_FAULT === '1' ? 1 : 3;

type Threads = 'main' | 'others';

/** The thread of the event loop and the database, or those in which blobs and layers are written. */
function threadsOf({ pid }: TestDaemon, which: Threads): number[] {
  const all = readdirSync(`/proc/${pid}/task`).map(Number);
  return all.filter((tid) => (tid === pid) === (which === 'main'));
}

/** Lets the `nth` such call of each of these threads fail, until disposed; then says which ones did. */
class Saboteur implements AsyncDisposable {
  readonly #strace: ChildProcess;
  readonly #log: string;

  private constructor(strace: ChildProcess, log: string) {
    this.#strace = strace;
    this.#log = log;
  }

  static async attach(daemon: TestDaemon, which: Threads, errno: string, nth: number): Promise<Saboteur> {
    const log = join(daemon.dir, `strace-${errno}-${nth}`);
    const threads = threadsOf(daemon, which);
    const args = ['-o', log, '-e', `trace=${calls}`, ...threads.flatMap((tid) => ['-p', `${tid}`])];
    const strace = spawn('strace', [...args, '-e', `inject=${calls}:error=${errno}:when=${nth}`], {
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    assert.ok(strace.stderr);
    let said = '';
    for await (const chunk of strace.stderr) {
      said += String(chunk);
      // A thread may have ended meanwhile.
      if ((said.match(/attached|No such process/g)?.length ?? 0) >= threads.length) break;
    }
    return new Saboteur(strace, log);
  }

  injected(): string[] {
    return readFileSync(this.#log, 'utf8')
      .split('\n')
      .filter((line) => line.includes('(INJECTED)'));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#strace.kill('SIGINT');
    if (this.#strace.exitCode === null && this.#strace.signalCode === null) await once(this.#strace, 'exit');
  }
}

async function forget(client: BerthClient): Promise<void> {
  for (const { name } of await client.images.list()) await client.images.remove(name, { sync: true });
}

/**
 * After a sync that failed the kernel may have dropped the bytes, so the daemon ends by itself, to be started again by its
 * supervisor: that also puts right what it could not undo.
 */
async function reopened(daemon: TestDaemon, client: BerthClient): Promise<void> {
  try {
    const { id } = await client.leases.create();
    await client.leases.delete(id);
  } catch {
    assert.equal(await daemon.ended(), 74);
    await daemon.start();
  }
}

const rows = [
  ['ENOSPC', 'main'],
  ['ENOSPC', 'others'],
  ['EIO', 'main'],
  ['EIO', 'others'],
] as const;

for (const [errno, which] of rows)
  test(`${errno} at any write of a pull (${which} thread) is an error or none, leaves nothing half-made, and the next pull works`, async (t) => {
    await using registry = await FlakyRegistry.start();
    registry.addImage('x/y', 'latest', [
      tarOf({ big: randomBytes(2_500_000), 'etc/': '' }),
      tarOf({ 'etc/a': 'a', 'etc/b': randomBytes(300_000) }),
    ]);
    const name = `${registry.host}/x/y:latest`;
    // One thread for all that is written asynchronously: then the nth of it is one certain call.
    await using daemon = await startDaemon({ env: { UV_THREADPOOL_SIZE: '1' } });
    using client = connect({ address: daemon.address });
    const pull = () => client.images.pull(name).image();
    await pull();
    await forget(client);
    const failures = new Map<string, number>();
    for (let nth = 1; nth <= most; nth += stride) {
      let met: string[];
      {
        await using saboteur = await Saboteur.attach(daemon, which, errno, nth);
        const failure = await pull().then(
          () => undefined,
          (error: Error) => error.message,
        );
        if (failure !== undefined) failures.set(failure, (failures.get(failure) ?? 0) + 1);
        await saboteur[Symbol.asyncDispose]();
        met = saboteur.injected();
      }
      if (met.length === 0) break;
      await reopened(daemon, client);
      assert.deepEqual(
        await violationsAtRest(daemon.root, daemon.state),
        [],
        `${errno} at call ${nth}: ${met.join('\n')}`,
      );
      await pull();
      await forget(client);
    }
    for (const [failure, count] of failures) t.diagnostic(`${count} x ${failure}`);
    assert.ok(failures.size > 0, 'some faults were met');
    assert.equal((await client.leases.list()).length, 0);
    assert.deepEqual(await violationsAtRest(daemon.root, daemon.state), []);
  });

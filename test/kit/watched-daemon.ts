import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { TestDaemon } from './daemon.ts';

/** A daemon that is asked through its debug socket what it is doing. */
export class WatchedDaemon extends TestDaemon {
  readonly #debugSocket: string;

  private constructor(dir: string) {
    const debugSocket = join(dir, 'debug.sock');
    super({ dir, logLevel: 'info', config: `[debug]\naddress = "${debugSocket}"\n` });
    this.#debugSocket = debugSocket;
  }

  static async open(): Promise<WatchedDaemon> {
    mkdirSync('/var/tmp/berth-test', { recursive: true });
    const daemon = new WatchedDaemon(mkdtempSync('/var/tmp/berth-test/d-'));
    await daemon.start();
    return daemon;
  }

  /** Names of the gRPC calls under way, one for each. */
  async underWay(): Promise<string[]> {
    const asked = request({ socketPath: this.#debugSocket, path: '/debug/pprof/goroutine' }).end();
    const [response] = await once(asked, 'response');
    const calls = (await text(response)).matchAll(/^ +call \d+ .*\/(\w+) namespace/gm);
    return [...calls].map(([, name = '']) => name);
  }

  /** Largest resident set of the daemon while `work` runs: the kernel's own high-water mark, reset before. */
  async peakBytes(work: () => Promise<unknown>): Promise<number> {
    writeFileSync(`/proc/${this.pid}/clear_refs`, '5');
    await work();
    return Number(/^VmHWM:\s+(\d+) kB/m.exec(readFileSync(`/proc/${this.pid}/status`, 'utf8'))?.[1]) * 1024;
  }
}

import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { output, run } from './run.ts';

const work = process.env.BERTH_TEST_WORK ?? '/var/tmp/berth-test';

/**
 * A network namespace with a cable to this machine and no way further: what bridges, firewall rules and addresses a client makes in
 * it end with it, and what it asks of other machines fails at once.
 * Disposal leaves nothing, when no process is left in it.
 */
export class TestNetwork implements AsyncDisposable {
  readonly #dir: string;
  readonly #cable: string;
  /** This machine's address on the cable. */
  readonly hostIp: string;
  /** The address of the other end. */
  readonly ip: string;
  /** Words before a command that run it in the namespace, with the same pid. */
  readonly wrapper: readonly string[];

  private constructor(dir: string, index: number) {
    // A /30 of its own for each network of each process of this machine.
    const net = (((process.pid & 0xfff) << 2) | index) << 2;
    const address = (host: number): string => `10.254.${net >> 8}.${(net & 0xff) + host}`;
    this.#dir = dir;
    this.#cable = `bt${process.pid.toString(36)}${index}`;
    this.hostIp = address(1);
    this.ip = address(2);
    this.wrapper = ['nsenter', `--net=${join(dir, 'net')}`];
  }

  /** @param index 0 to 3, where a process wants several */
  static async open(index = 0): Promise<TestNetwork> {
    mkdirSync(work, { recursive: true });
    const network = new TestNetwork(mkdtempSync(join(work, 'net-')), index);
    try {
      await network.#make();
      return network;
    } catch (error) {
      await network[Symbol.asyncDispose]();
      throw error;
    }
  }

  async #make(): Promise<void> {
    const file = join(this.#dir, 'net');
    writeFileSync(file, '');
    await output('unshare', [`--net=${file}`, 'true']);
    const ip = (...args: string[]) => output('ip', args);
    const inside = (...args: string[]) => output('nsenter', [`--net=${file}`, 'ip', ...args]);
    const [outer, inner] = [`${this.#cable}a`, `${this.#cable}b`];
    await ip('link', 'add', outer, 'type', 'veth', 'peer', 'name', inner, 'netns', file);
    await ip('address', 'add', `${this.hostIp}/30`, 'dev', outer);
    await ip('link', 'set', outer, 'up');
    await inside('link', 'set', 'lo', 'up');
    await inside('address', 'add', `${this.ip}/30`, 'dev', inner);
    await inside('link', 'set', inner, 'up');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await run('ip', ['link', 'delete', `${this.#cable}a`]);
    await run('umount', [join(this.#dir, 'net')]);
    rmSync(this.#dir, { recursive: true, force: true });
  }
}

import type { BerthClient } from '../../src/client/index.ts';
import type { Runner } from './journal.ts';

/**
 * A container whose stdout is a FIFO that this process reads: 0, 1, 2, … It must notice nothing of the daemon's deaths
 * (I6): no gap, no duplicate, no end.
 */
export class Sequence implements AsyncDisposable {
  readonly id: string;
  readonly runner: Runner;
  #rest = '';
  #next = 0;
  #checked = 0;
  readonly #wrong: string[] = [];
  readonly #close: () => void;

  private constructor(runner: Runner, stdout: ReadableStream<Uint8Array>, close: () => void) {
    this.id = runner.id;
    this.runner = runner;
    this.#close = close;
    void this.#read(stdout);
  }

  static async start(client: BerthClient, image: string): Promise<Sequence> {
    const script = 'i=0; while :; do echo $i; i=$((i+1)); usleep 5000; done';
    const { id } = await client.containers.create({ image, args: ['sh', '-c', script] });
    const task = await client.tasks.create(id, { stdout: true });
    if (task.stdout === undefined) throw new Error('no stdout');
    const pid = await task.start();
    const runner = { namespace: client.namespace, id, pid, printsTo: 'fifo' as const };
    return new Sequence(runner, task.stdout, () => task[Symbol.dispose]());
  }

  /** What was wrong since the last call; also when nothing came meanwhile. */
  violations(): string[] {
    const found = this.#wrong.splice(0);
    if (this.#next === this.#checked) found.push(`I6: nothing came through the FIFO after ${this.#next}`);
    this.#checked = this.#next;
    return found;
  }

  async #read(stdout: ReadableStream<Uint8Array>): Promise<void> {
    for await (const chunk of stdout) {
      const lines = (this.#rest + Buffer.from(chunk).toString()).split('\n');
      this.#rest = lines.pop() ?? '';
      for (const line of lines) this.#take(line);
    }
    this.#wrong.push('I6: the FIFO ended');
  }

  #take(line: string): void {
    if (line !== String(this.#next)) {
      this.#wrong.push(`I6: FIFO: ${JSON.stringify(line)} came, not ${this.#next}`);
      this.#next = Number(line);
    }
    this.#next++;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#close();
  }
}

import { daemonContext, type Log } from '../../async/context.ts';
import { messageOf, unavailable } from '../../errors/error.ts';
import { Sandbox } from '../../gen/containerd/runtime/sandbox/v1/sandbox_pb.ts';
import type { UnaryClient, UnaryServiceClient } from '../../rpc/unary-client.ts';
import { type ForeignRecord, writeForeignRecord } from '../foreign/foreign-record.ts';
import type { ShimEndpoint } from '../foreign/shim-answer.ts';
import { connectEndpoint, isDeadShim } from '../foreign/shim-link.ts';
import { readShimLog } from '../foreign/shim-log.ts';
import type { ShimTarget } from '../foreign/shim-program.ts';
import { isTimeout, lostShim } from '../shim-calls.ts';

/** containerd's sandbox API as a shim serves it. */
export type SandboxClient = UnaryServiceClient<typeof Sandbox>;

/** A sandbox's shim: the connection to it, and its record in the sandbox's bundle. */
export class SandboxShim implements Disposable {
  readonly target: ShimTarget;
  readonly #log: Log;
  readonly #shimLog: Disposable;
  readonly #bury: (shim: SandboxShim) => void;
  readonly #loadMs: number;
  #record: ForeignRecord;
  #client: Promise<UnaryClient> | undefined;
  #isOver = false;

  /** `loadMs`: for connecting to it, and for its answer then. `bury`: called once when it is found dead. */
  constructor(
    target: ShimTarget,
    record: ForeignRecord,
    loadMs: number,
    log: Log,
    bury: (shim: SandboxShim) => void,
  ) {
    this.target = target;
    this.#record = record;
    this.#loadMs = loadMs;
    this.#log = log;
    this.#bury = bury;
    this.#shimLog = readShimLog(target.bundle, { namespace: target.namespace, sandbox: target.id }, log);
    writeForeignRecord(target.bundle, record);
  }

  get record(): ForeignRecord {
    return this.#record;
  }

  /** Writes down where the shim serves, then connects. @throws unavailable */
  async serveAt(endpoint: ShimEndpoint): Promise<void> {
    this.note({ endpoint });
    await this.connected();
  }

  /** Writes down what has come to be known. */
  note(known: Partial<ForeignRecord>): void {
    this.#record = { ...this.#record, ...known };
    writeForeignRecord(this.target.bundle, this.#record);
  }

  /** A call of the sandbox API. @throws unavailable (the shim went away), what the shim says */
  async call<T>(work: (sandbox: SandboxClient) => Promise<T>): Promise<T> {
    return work((await this.connected()).service(Sandbox));
  }

  /** The connection, made now where there is none. @throws unavailable */
  connected(): Promise<UnaryClient> {
    this.#client ??= this.#connect();
    return this.#client;
  }

  /** Lets go; the shim runs on. */
  [Symbol.dispose](): void {
    this.#isOver = true;
    this.#shimLog[Symbol.dispose]();
    this.#client?.then((client) => client.close()).catch(() => {});
  }

  async #connect(): Promise<UnaryClient> {
    const { namespace, id } = this.target;
    try {
      const { endpoint } = this.#record;
      if (endpoint === undefined) throw unavailable(`shim of sandbox ${id} is not there yet`);
      const client = await connectEndpoint(endpoint, this.#loadMs);
      await hello(client, id, daemonContext(this.#log, namespace), this.#loadMs);
      void client.closed.then(() => this.#lost());
      return client;
    } catch (error) {
      this.#client = undefined;
      if (isDeadShim(error) && !this.#isOver) this.#die();
      else if (isTimeout(error))
        this.#log.warn({ namespace, id, error: messageOf(error) }, 'shim of a sandbox hangs');
      throw error;
    }
  }

  #lost(): void {
    this.#client = undefined;
    if (!this.#isOver) this.connected().catch(() => {});
  }

  #die(): void {
    this.#isOver = true;
    this.#bury(this);
  }
}

/** Any answer is a good one, also that there is no such service: the call that matters says so again. */
async function hello(
  client: UnaryClient,
  sandboxId: string,
  ctx: ReturnType<typeof daemonContext>,
  helloMs: number,
): Promise<void> {
  try {
    await client.service(Sandbox).pingSandbox({ sandboxId }, ctx, helloMs);
  } catch (error) {
    if (!isTimeout(error) && !lostShim(error)) return;
    client.close();
    throw error;
  }
}

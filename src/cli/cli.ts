import type { BerthClient } from '../client/index.ts';
import type { Style } from './output/print.ts';

/** Options that every command takes, before or after its name. */
export interface Globals extends Style {
  readonly address: string;
  readonly namespace: string;
  readonly debug: boolean;
}

type Environment = Readonly<Record<string, string | undefined>>;

/** What a command works with: the user's options, the streams and environment of this process, the daemon. */
export class Cli {
  readonly globals: Globals;
  readonly env: Environment;
  readonly stdin = process.stdin;
  readonly stdout = process.stdout;
  readonly stderr = process.stderr;
  #client: BerthClient | undefined;

  constructor(options: Partial<Globals>, env: Environment) {
    this.env = env;
    this.globals = {
      address: options.address ?? env.BERTH_ADDRESS ?? env.CONTAINERD_ADDRESS ?? '/run/berth/berth.sock',
      namespace: options.namespace ?? env.BERTH_NAMESPACE ?? env.CONTAINERD_NAMESPACE ?? 'default',
      json: options.json ?? false,
      format: options.format,
      debug: options.debug ?? false,
    };
  }

  /** The connection to the daemon, made once. The library is loaded here, so that `--help` need not wait for it. */
  async client(): Promise<BerthClient> {
    if (this.#client === undefined) {
      const { connect } = await import('../client/index.ts');
      const { address, namespace } = this.globals;
      this.#client = connect({ address, namespace });
    }
    return this.#client;
  }

  print(text: string): void {
    this.stdout.write(text);
  }

  /** One line for people on standard error. */
  note(text: string): void {
    this.stderr.write(`${text}\n`);
  }

  close(): void {
    this.#client?.close();
  }
}

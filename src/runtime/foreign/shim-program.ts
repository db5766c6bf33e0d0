import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { AnySchema } from '@bufbuild/protobuf/wkt';
import { isKind, messageOf, unknown, wrap } from '../../errors/error.ts';
import { BootstrapParamsSchema, LogLevel } from '../../gen/containerd/runtime/bootstrap/v1/bootstrap_pb.ts';
import { DeleteResponseSchema } from '../../gen/containerd/task/v3/task_pb.ts';
import type { Any } from '../../oci/any.ts';
import { toAny } from '../../rpc/any.ts';
import type { TaskExit } from '../task.ts';
import { exitOf } from '../task-wire.ts';
import { runProgram } from './run-program.ts';
import { parseShimAnswer, type ShimEndpoint } from './shim-answer.ts';
import type { ShimTimeouts } from './shim-timeouts.ts';

/** What shims are told of the daemon that starts them. */
export interface DaemonEnds {
  /** gRPC socket; the ttrpc one is `<address>.ttrpc`. */
  readonly address: string;
  /** Program whose `publish` command takes events of shims that know no ttrpc. */
  readonly publishBinary: string;
  /** Program that writes log files for shims that only know programs to log to. */
  readonly logProgram: string;
  /** Where new shims may put their sockets. */
  readonly socketDir: string;
  readonly environment: Readonly<Record<string, string>>;
  readonly version: string;
  readonly debug: boolean;
  readonly timeouts: ShimTimeouts;
}

/** The task that a shim is started for. */
export interface ShimTarget {
  readonly namespace: string;
  readonly id: string;
  readonly bundle: string;
}

const infoMs = 10_000;
/** `unix://` and a socket's name of 64 hex digits must fit beside it. */
const maxSocketDirBytes = 107 - 65;
const nothing = new Uint8Array();

/** A shim's program, asked as containerd asks it: `start`, `delete` (both in the bundle) and `-info`. */
export class ShimProgram {
  readonly file: string;
  readonly #daemon: DaemonEnds;
  /** Whether it refused the protocol of containerd 2.3 once. */
  #isOld = false;

  constructor(file: string, daemon: DaemonEnds) {
    this.file = file;
    this.#daemon = daemon;
  }

  /**
   * Starts a shim for a task, or finds the one that its group has. Programs from before containerd 2.3 fail on the
   * bootstrap message and leave nothing: they are asked again in the old way, and in no other from then on.
   * @throws unknown (both failed: its words), unavailable (deadline), not_found (program), not_implemented (protocol)
   */
  async start(target: ShimTarget, options: Any | undefined): Promise<ShimEndpoint> {
    const start = (input: Uint8Array) => this.#run('start', target, input, this.#daemon.timeouts.startMs);
    const old = () => start(options === undefined ? nothing : bytesOf(options));
    if (this.#isOld) return parseShimAnswer(await old());
    try {
      return parseShimAnswer(await start(this.#bootstrap(target, options)));
    } catch (error) {
      if (!isKind(error, 'unknown')) throw error;
      const answer = parseShimAnswer(await old().catch((second) => bothFailed(error, second)));
      this.#isOld = true;
      return answer;
    }
  }

  /** Removes what is left of a task whose shim is dead. @throws as {@link start} */
  async delete(target: ShimTarget): Promise<TaskExit & { readonly pid: number }> {
    const answer = await this.#run('delete', target, nothing, this.#daemon.timeouts.cleanupMs);
    try {
      const deleted = fromBinary(DeleteResponseSchema, answer);
      return { pid: deleted.pid, ...exitOf(deleted) };
    } catch (error) {
      throw wrap(error, `shim ${this.file} gave no answer to delete`);
    }
  }

  /** The RuntimeInfo that the program prints of itself, bytes of the message. @throws unknown, unavailable, not_found */
  info(options: Any | undefined): Promise<Buffer> {
    const input = options === undefined ? nothing : bytesOf(options);
    const { environment: env } = this.#daemon;
    return runProgram({ file: this.file, args: ['-info'], cwd: '/', env, input, timeoutMs: infoMs });
  }

  #run(
    action: 'start' | 'delete',
    target: ShimTarget,
    input: Uint8Array,
    timeoutMs: number,
  ): Promise<Buffer> {
    const { address, publishBinary, environment, debug } = this.#daemon;
    const { namespace, id, bundle } = target;
    const args = ['-namespace', namespace, '-address', address, '-publish-binary', publishBinary, '-id', id];
    if (action === 'delete') args.push('-bundle', bundle);
    if (debug) args.push('-debug');
    const env = {
      ...environment,
      GOMAXPROCS: '2',
      MAX_SHIM_VERSION: '2',
      TTRPC_ADDRESS: `${address}.ttrpc`,
      GRPC_ADDRESS: address,
      NAMESPACE: namespace,
    };
    return runProgram({ file: this.file, args: [...args, action], cwd: bundle, env, input, timeoutMs });
  }

  #bootstrap({ namespace, id }: ShimTarget, options: Any | undefined): Uint8Array {
    const { address, publishBinary, socketDir, version, debug } = this.#daemon;
    const params = create(BootstrapParamsSchema, {
      instanceId: id,
      namespace,
      logLevel: debug ? LogLevel.DEBUG : LogLevel.INFO,
      containerdVersion: version,
      containerdTtrpcAddress: `${address}.ttrpc`,
      containerdGrpcAddress: address,
      containerdBinary: publishBinary,
      extensions: options === undefined ? [] : [{ value: toAny(options) }],
      ...(Buffer.byteLength(socketDir) <= maxSocketDirBytes ? { socketDir } : {}),
    });
    return toBinary(BootstrapParamsSchema, params);
  }
}

const bytesOf = (options: Any): Uint8Array => toBinary(AnySchema, create(AnySchema, toAny(options)));

function bothFailed(first: unknown, second: unknown): never {
  if (messageOf(first) === messageOf(second)) throw second;
  throw unknown(`${messageOf(second)} (asked by bootstrap message: ${messageOf(first)})`, second);
}

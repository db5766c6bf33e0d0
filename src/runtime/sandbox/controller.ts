import type { Context } from '../../async/context.ts';
import type { NewSandbox } from '../../metadata/sandbox-store.ts';
import type { Any } from '../../oci/any.ts';
import type { RootfsMount, TaskExit } from '../task.ts';

/** A sandbox to make. */
export interface SandboxToCreate {
  readonly sandbox: NewSandbox;
  readonly rootfs: readonly RootfsMount[];
  readonly options: Any | undefined;
  /** Path of a network namespace, or ''. */
  readonly netnsPath: string;
  readonly annotations: Readonly<Record<string, string>>;
}

/** Where a sandbox serves the task API: `unix:///path`, and its version; '' and 0 where it does not. */
export interface SandboxEnds {
  readonly address: string;
  readonly version: number;
}

export interface StartedSandbox extends SandboxEnds {
  readonly pid: number;
  readonly createdAt: Date;
  readonly labels: Readonly<Record<string, string>>;
  readonly spec?: Any | undefined;
}

export interface SandboxStatus extends SandboxEnds {
  readonly pid: number;
  /** The shim's own word; '' when there is none. */
  readonly state: string;
  readonly info: Readonly<Record<string, string>>;
  readonly createdAt?: Date | undefined;
  readonly exitedAt?: Date | undefined;
  readonly extra?: Any | undefined;
}

export interface SandboxPlatform {
  readonly os: string;
  readonly architecture: string;
  readonly variant: string;
}

/** Measurements of a sandbox, in a message of whoever made them. */
export interface SandboxMetrics {
  readonly id: string;
  readonly timestamp: Date;
  readonly data?: Any | undefined;
}

/** Runs sandboxes: create ▶ start ▶ (wait) ▶ stop ▶ shutdown. Ids are within the context's namespace. */
export interface SandboxController {
  /** @throws already_exists, invalid_argument (id), unknown and not_implemented (the shim's words) */
  create(ctx: Context, sandbox: SandboxToCreate): Promise<void>;
  start(ctx: Context, id: string): Promise<StartedSandbox>;
  /** @throws not_found */
  platform(ctx: Context, id: string): Promise<SandboxPlatform>;
  /** Idempotent: one that is not there is stopped. */
  stop(ctx: Context, id: string, timeoutSeconds: number): Promise<void>;
  /** @throws not_found */
  wait(ctx: Context, id: string): Promise<TaskExit>;
  /** One that is not there has ended. */
  status(ctx: Context, id: string, verbose: boolean): Promise<SandboxStatus>;
  /** Ends it and its shim. @throws not_found */
  shutdown(ctx: Context, id: string): Promise<void>;
  /** @throws not_found */
  metrics(ctx: Context, id: string): Promise<SandboxMetrics | undefined>;
  update(ctx: Context, id: string, sandbox: NewSandbox, fieldPaths: readonly string[]): Promise<void>;
}

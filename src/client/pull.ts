import { create, toBinary } from '@bufbuild/protobuf';
import { invalidArgument, messageOf } from '../errors/error.ts';
import { Transfer } from '../gen/containerd/services/transfer/v1/transfer_pb.ts';
import {
  AuthRequestSchema,
  AuthResponseSchema,
  AuthType,
  ImageStoreSchema,
  OCIRegistrySchema,
  ProgressSchema,
} from '../gen/containerd/types/transfer/transfer_pb.ts';
import type { Image } from '../metadata/image-store.ts';
import type { Platform } from '../oci/platform.ts';
import type { Connection } from './connection.ts';
import { toPlatform, toSize } from './convert.ts';
import { type MessageStream, openStream } from './streams.ts';

/** One step of a pull. `name` is the object (a reference, or `layer-sha256:…`), sizes are bytes, 0 when unknown. */
export interface PullProgress {
  /** containerd's words: waiting, downloading, complete, extracting, extracted, saved, … or a sentence. */
  readonly event: string;
  readonly name: string;
  readonly parents: readonly string[];
  readonly doneBytes: number;
  readonly totalBytes: number;
}

/** What to show a registry: a password or a token, or the value of an Authorization header. */
export type Credentials =
  | { readonly username: string; readonly password: string }
  | { readonly refreshToken: string }
  | { readonly header: string };

/** How to pull; `labels` go on the image record. */
export interface PullOptions {
  /** Platforms to fetch; default: the daemon's own. */
  readonly platforms?: readonly Platform[];
  /** Snapshotter to unpack with; default: the daemon's; false: do not unpack. */
  readonly snapshotter?: string | false;
  readonly labels?: Readonly<Record<string, string>>;
  /** Asked when a registry wants credentials; undefined goes on without. */
  readonly credentials?: (host: string, reference: string) => Promise<Credentials | undefined>;
  /** Speak plain HTTP to the registry. Default: only to loopback. */
  readonly plainHttp?: boolean;
  readonly signal?: AbortSignal;
}

/** A running pull: iterate it for progress, or just wait for its {@link image}. */
export interface Pull extends AsyncIterable<PullProgress> {
  /** The image record, once everything is here and unpacked. Reads the progress itself when nobody iterates. */
  image(): Promise<Image>;
}

/**
 * Pulls by Transfer with a progress stream and, when credentials are given, an auth stream. Leaving the iteration
 * early cancels the pull.
 * @throws not_found, unauthenticated, permission_denied, unavailable, data_loss
 */
export function startPull(
  connection: Connection,
  reference: string,
  options: PullOptions,
  record: () => Promise<Image>,
): Pull {
  const steps = transfer(connection, reference, options);
  let finished: Promise<Image> | undefined;
  return {
    [Symbol.asyncIterator]: () => steps,
    image() {
      finished ??= drain(steps).then(record);
      return finished;
    },
  };
}

async function drain(steps: AsyncIterable<unknown>): Promise<void> {
  for await (const _ of steps);
}

async function* transfer(
  connection: Connection,
  reference: string,
  options: PullOptions,
): AsyncGenerator<PullProgress, void, void> {
  const stop = new AbortController();
  const failures: unknown[] = [];
  const signal = options.signal === undefined ? stop.signal : AbortSignal.any([options.signal, stop.signal]);
  try {
    const progress = await openStream(connection, 'progress', signal);
    const auth = await openAuth(connection, options, signal, (error) => {
      failures.push(error);
      stop.abort();
    });
    const call = connection
      .service(Transfer)
      .transfer(request(reference, options, progress.id, auth?.id), connection.stream({ signal }));
    const settled = call.then(
      () => stopSoon(stop, graceMs),
      (error: unknown) => {
        stopSoon(stop, failedGraceMs);
        throw error;
      },
    );
    settled.catch(() => {});
    yield* steps(progress, stop.signal);
    await settled;
  } catch (error) {
    throw failures[0] ?? error;
  } finally {
    stop.abort();
  }
}

/** As long as the daemon waits for a client that is slow to read. */
const graceMs = 2_000;
/** A call that was refused has told nothing. */
const failedGraceMs = 100;

/** The daemon ends the streams itself, but its answer may come before their last messages; then they are dropped. */
function stopSoon(stop: AbortController, afterMs: number): void {
  setTimeout(() => stop.abort(), afterMs).unref();
}

/** Ends quietly when the stream does: whether the pull went well is the Transfer call's to say. */
async function* steps(
  progress: MessageStream,
  stopped: AbortSignal,
): AsyncGenerator<PullProgress, void, void> {
  try {
    for await (const step of progress.receive(ProgressSchema)) {
      yield {
        event: step.event,
        name: step.name,
        parents: step.parents,
        doneBytes: toSize(step.progress),
        totalBytes: toSize(step.total),
      };
    }
  } catch (error) {
    if (!stopped.aborted) throw error;
  }
}

function request(reference: string, options: PullOptions, progressId: string, authId: string | undefined) {
  const resolver = {
    authStream: authId ?? '',
    defaultScheme: options.plainHttp === true ? 'http' : '',
  };
  const source = create(OCIRegistrySchema, { reference, resolver });
  const platforms = (options.platforms ?? []).map(toPlatform);
  const destination = create(ImageStoreSchema, {
    name: reference,
    labels: { ...options.labels },
    platforms,
    unpacks: unpacks(options, platforms),
  });
  return {
    source: { typeUrl: OCIRegistrySchema.typeName, value: toBinary(OCIRegistrySchema, source) },
    destination: { typeUrl: ImageStoreSchema.typeName, value: toBinary(ImageStoreSchema, destination) },
    options: { progressStream: progressId },
  };
}

function unpacks(options: PullOptions, platforms: ReturnType<typeof toPlatform>[]) {
  if (options.snapshotter === false) return [];
  const snapshotter = options.snapshotter ?? '';
  return platforms.length === 0
    ? [{ snapshotter }]
    : platforms.map((platform) => ({ platform, snapshotter }));
}

async function openAuth(
  connection: Connection,
  options: PullOptions,
  signal: AbortSignal,
  fail: (error: unknown) => void,
): Promise<MessageStream | undefined> {
  if (options.credentials === undefined) return undefined;
  const stream = await openStream(connection, 'auth', signal);
  void answerAuth(stream, options.credentials, fail).catch(() => {});
  return stream;
}

async function answerAuth(
  stream: MessageStream,
  credentials: NonNullable<PullOptions['credentials']>,
  fail: (error: unknown) => void,
): Promise<void> {
  for await (const asked of stream.receive(AuthRequestSchema)) {
    try {
      const found = await credentials(asked.host, asked.reference);
      stream.send(AuthResponseSchema, create(AuthResponseSchema, authResponse(found)));
    } catch (error) {
      fail(invalidArgument(`credentials for ${asked.host}: ${messageOf(error)}`, error));
    }
  }
}

function authResponse(found: Credentials | undefined) {
  if (found === undefined) return { authType: AuthType.NONE };
  if ('header' in found) return { authType: AuthType.HEADER, secret: found.header };
  if ('refreshToken' in found) return { authType: AuthType.REFRESH, secret: found.refreshToken };
  return { authType: AuthType.CREDENTIALS, username: found.username, secret: found.password };
}

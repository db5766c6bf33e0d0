import { create } from '@bufbuild/protobuf';
import { invalidArgument, messageOf } from '../errors/error.ts';
import {
  AuthRequestSchema,
  AuthResponseSchema,
  AuthType,
  ImageStoreSchema,
  OCIRegistrySchema,
} from '../gen/containerd/types/transfer/transfer_pb.ts';
import type { Image } from '../metadata/image-store.ts';
import type { Platform } from '../oci/platform.ts';
import type { Connection } from './connection.ts';
import { toPlatform } from './convert.ts';
import { type MessageStream, openStream } from './streams.ts';
import {
  endOf,
  runTransfer,
  type TransferEnds,
  type TransferProgress,
  type TransferScope,
} from './transfer.ts';

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
export interface Pull extends AsyncIterable<TransferProgress> {
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

const transfer = (connection: Connection, reference: string, options: PullOptions) =>
  runTransfer(connection, options.signal, async (scope) => {
    const auth = await openAuth(connection, options, scope);
    return endsOf(reference, options, auth?.id ?? '');
  });

function endsOf(reference: string, options: PullOptions, authStream: string): TransferEnds {
  const resolver = { authStream, defaultScheme: options.plainHttp === true ? 'http' : '' };
  const platforms = (options.platforms ?? []).map(toPlatform);
  const destination = create(ImageStoreSchema, {
    name: reference,
    labels: { ...options.labels },
    platforms,
    unpacks: unpacks(options, platforms),
  });
  return {
    source: endOf(OCIRegistrySchema, create(OCIRegistrySchema, { reference, resolver })),
    destination: endOf(ImageStoreSchema, destination),
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
  { signal, fail }: TransferScope,
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

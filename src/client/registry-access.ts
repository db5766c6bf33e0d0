import { create } from '@bufbuild/protobuf';
import { invalidArgument, messageOf } from '../errors/error.ts';
import {
  AuthRequestSchema,
  AuthResponseSchema,
  AuthType,
} from '../gen/containerd/types/transfer/transfer_pb.ts';
import type { Connection } from './connection.ts';
import { type MessageStream, openStream } from './streams.ts';
import type { TransferScope } from './transfer.ts';

/** What to show a registry: a password or a token, or the value of an Authorization header. */
export type Credentials =
  | { readonly username: string; readonly password: string }
  | { readonly refreshToken: string }
  | { readonly header: string };

/** How to get into a registry. */
export interface RegistryAccess {
  /** Asked when a registry wants credentials; undefined goes on without. */
  readonly credentials?: (host: string, reference: string) => Promise<Credentials | undefined>;
  /** Speak plain HTTP to the registry. Default: only to loopback. */
  readonly plainHttp?: boolean;
  readonly signal?: AbortSignal;
}

/** How the daemon gets into a registry, for the wire. */
export interface Resolver {
  readonly authStream: string;
  readonly defaultScheme: string;
}

/** Opens a stream for credentials where they can be given. What cannot be told fails the scope. @throws unavailable */
export async function openAccess(
  connection: Connection,
  { credentials, plainHttp }: RegistryAccess,
  { signal, fail }: TransferScope,
): Promise<Resolver> {
  const defaultScheme = plainHttp === true ? 'http' : '';
  if (credentials === undefined) return { authStream: '', defaultScheme };
  const stream = await openStream(connection, 'auth', signal);
  void answerAuth(stream, credentials, fail).catch(() => {});
  return { authStream: stream.id, defaultScheme };
}

async function answerAuth(
  stream: MessageStream,
  credentials: NonNullable<RegistryAccess['credentials']>,
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

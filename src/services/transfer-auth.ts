import { create, toBinary } from '@bufbuild/protobuf';
import { abortable } from '../async/abortable.ts';
import type { Context } from '../async/context.ts';
import { withDeadline } from '../async/deadline.ts';
import { invalidArgument, unauthenticated } from '../errors/error.ts';
import {
  AuthRequestSchema,
  type AuthResponse,
  AuthResponseSchema,
  AuthType,
} from '../gen/containerd/types/transfer/transfer_pb.ts';
import type { CredentialRequest, CredentialSource, Credentials } from '../registry/credentials.ts';
import { decodeAny } from '../rpc/any.ts';
import type { NamedStream, StreamItem } from '../rpc/named-stream.ts';

/** How long somebody may take to type a password. */
const answerMs = 10 * 60 * 1000;

/**
 * Credentials that the client hands over one question at a time (AuthRequest ▶ AuthResponse). They stay in the session
 * that asked. @throws unauthenticated when the client does not answer
 */
export function authStreamCredentials(stream: NamedStream): CredentialSource {
  let turn: Promise<unknown> = Promise.resolve();
  return (ctx, request) => {
    const answer = turn.then(() => ask(stream, ctx, request));
    turn = answer.catch(() => {});
    return answer;
  };
}

async function ask(
  stream: NamedStream,
  ctx: Context,
  request: CredentialRequest,
): Promise<Credentials | undefined> {
  const { host, reference, challenges } = request;
  const message = create(AuthRequestSchema, { host, reference, wwwauthenticate: [...challenges] });
  await stream.send({ typeUrl: AuthRequestSchema.typeName, value: toBinary(AuthRequestSchema, message) });
  const answer = await withDeadline(ctx.signal, answerMs, `credentials for ${host}`, (signal) =>
    abortable(stream.receive(), signal),
  );
  if (answer === undefined) throw unauthenticated(`client gave no credentials for ${host}`);
  return fromWire(parse(answer));
}

function parse(item: StreamItem): AuthResponse {
  const answer = decodeAny(AuthResponseSchema, item);
  if (answer !== undefined) return answer;
  throw invalidArgument(`auth stream: ${JSON.stringify(item.typeUrl.slice(0, 100))} is no AuthResponse`);
}

/** An answer without a secret means none, whatever its type: that is what ctr sends when it has nothing. */
function fromWire({ authType, secret, username }: AuthResponse): Credentials | undefined {
  if (authType === AuthType.CREDENTIALS && username + secret !== '')
    return { kind: 'basic', username, password: secret };
  if (authType === AuthType.REFRESH && secret !== '') return { kind: 'refresh', token: secret };
  if (authType === AuthType.HEADER && secret !== '') return { kind: 'header', value: headerValue(secret) };
  return undefined;
}

function headerValue(text: string): string {
  if (/^[\t\x20-\x7e]+$/.test(text)) return text;
  throw invalidArgument('auth stream: header holds characters that no header may have');
}

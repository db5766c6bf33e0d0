import { BerthError, type ErrorKind, kindOf, messageOf } from '../errors/error.ts';

/** gRPC status codes by number (grpc/doc/statuscodes.md). */
export const Code = {
  ok: 0,
  cancelled: 1,
  unknown: 2,
  invalidArgument: 3,
  deadlineExceeded: 4,
  notFound: 5,
  alreadyExists: 6,
  permissionDenied: 7,
  resourceExhausted: 8,
  failedPrecondition: 9,
  aborted: 10,
  outOfRange: 11,
  unimplemented: 12,
  internal: 13,
  unavailable: 14,
  dataLoss: 15,
  unauthenticated: 16,
} as const;

/** What goes over the wire, in gRPC trailers and ttrpc responses alike. */
export interface WireStatus {
  readonly code: number;
  readonly message: string;
}

interface Row {
  readonly code: number;
  /** Words that end the message, as errdefs has them: Go clients find conflict and not_modified only by these. */
  readonly words: string;
}

/** The one table: kind ▶ gRPC code and errdefs' words (containerd/errdefs v1.0, pkg/errgrpc). */
const table = {
  unknown: { code: Code.unknown, words: '' },
  invalid_argument: { code: Code.invalidArgument, words: 'invalid argument' },
  not_found: { code: Code.notFound, words: 'not found' },
  already_exists: { code: Code.alreadyExists, words: 'already exists' },
  permission_denied: { code: Code.permissionDenied, words: 'permission denied' },
  resource_exhausted: { code: Code.resourceExhausted, words: 'resource exhausted' },
  failed_precondition: { code: Code.failedPrecondition, words: 'failed precondition' },
  conflict: { code: Code.failedPrecondition, words: 'conflict' },
  not_modified: { code: Code.failedPrecondition, words: 'not modified' },
  aborted: { code: Code.aborted, words: 'aborted' },
  out_of_range: { code: Code.outOfRange, words: 'out of range' },
  not_implemented: { code: Code.unimplemented, words: 'not implemented' },
  internal: { code: Code.internal, words: 'internal' },
  unavailable: { code: Code.unavailable, words: 'unavailable' },
  data_loss: { code: Code.dataLoss, words: 'data loss' },
  unauthenticated: { code: Code.unauthenticated, words: 'unauthenticated' },
} as const satisfies Record<ErrorKind, Row>;

const kindByCode = new Map<number, ErrorKind>(
  (Object.keys(table) as ErrorKind[])
    .filter((kind) => kind !== 'conflict' && kind !== 'not_modified')
    .map((kind) => [table[kind].code, kind]),
);

/** Longest message sent: trailers share HTTP/2's header limits (16 KiB in most clients), each byte may become three. */
const maxMessageLength = 4096;

/**
 * The status of a caught error. Kinds follow the table, an AbortError is CANCELLED, a TimeoutError DEADLINE_EXCEEDED,
 * anything else UNKNOWN with its message. Stacks and causes stay here.
 */
export function toStatus(error: unknown): WireStatus {
  const interrupted = interruption(error);
  if (interrupted !== undefined) return { code: interrupted, message: clean(messageOf(error)) };
  const { code, words } = table[kindOf(error)];
  const message = messageOf(error);
  // Some messages of containerd begin with the words, gRPC's own have none; clients tell those of this one code by their end.
  const begins =
    code !== Code.failedPrecondition && [`${words}: `, 'grpc: '].some((word) => message.startsWith(word));
  return { code, message: clean(begins ? message : withWords(message, words)) };
}

/** The error of a received status: the message stays as sent, so passing it on changes nothing. */
export function fromStatus(code: number, message: string, cause?: unknown): BerthError {
  const kind = kindOfStatus(code, message);
  if (code === Code.deadlineExceeded) return new BerthError(kind, message, { cause: timeoutError(message) });
  return new BerthError(kind, message, cause === undefined ? undefined : { cause });
}

function kindOfStatus(code: number, message: string): ErrorKind {
  if (code === Code.cancelled || code === Code.deadlineExceeded) return 'aborted';
  if (code !== Code.failedPrecondition) return kindByCode.get(code) ?? 'unknown';
  if (endsWith(message, table.conflict.words)) return 'conflict';
  if (endsWith(message, table.not_modified.words)) return 'not_modified';
  return 'failed_precondition';
}

/** CANCELLED or DEADLINE_EXCEEDED when such an error is on the chain before any BerthError that says more. */
function interruption(error: unknown): number | undefined {
  for (let e: unknown = error, depth = 0; e instanceof Error && depth < 16; e = e.cause, depth++) {
    if (e.name === 'AbortError') return Code.cancelled;
    if (e.name === 'TimeoutError') return Code.deadlineExceeded;
    if (e instanceof BerthError && e.kind !== 'aborted' && e.kind !== 'unknown') return undefined;
  }
  return undefined;
}

const timeoutError = (message: string): Error => new DOMException(message, 'TimeoutError');

const endsWith = (message: string, words: string): boolean =>
  message === words || message.endsWith(`: ${words}`);

const withWords = (message: string, words: string): string =>
  words === '' || endsWith(message, words) ? message : `${message}: ${words}`;

/** Well-formed Unicode (a lone surrogate would make percent-encoding throw) of bounded length, its end kept. */
function clean(message: string): string {
  const bounded =
    message.length <= maxMessageLength
      ? message
      : `${message.slice(0, maxMessageLength / 2)} … ${message.slice(-maxMessageLength / 2)}`;
  return bounded.toWellFormed();
}

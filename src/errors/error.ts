/** The sixteen kinds of errdefs, the vocabulary that containerd's clients test for. */
export const kinds = [
  'unknown',
  'invalid_argument',
  'not_found',
  'already_exists',
  'permission_denied',
  'resource_exhausted',
  'failed_precondition',
  'conflict',
  'not_modified',
  'aborted',
  'out_of_range',
  'not_implemented',
  'internal',
  'unavailable',
  'data_loss',
  'unauthenticated',
] as const;

/** errdefs' sixteen kinds (github.com/containerd/errdefs). */
export type ErrorKind = (typeof kinds)[number];

/**
 * The one error class. `kind` says what went wrong in words every door can translate; `message` is lower case,
 * has no full stop and names the object; `cause` keeps what was caught.
 */
export class BerthError extends Error {
  readonly kind: ErrorKind;

  constructor(kind: ErrorKind, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'BerthError';
    this.kind = kind;
  }
}

type Factory = (message: string, cause?: unknown) => BerthError;

const factory =
  (kind: ErrorKind): Factory =>
  (message, cause) =>
    new BerthError(kind, message, cause === undefined ? undefined : { cause });

export const unknown = factory('unknown');
export const invalidArgument = factory('invalid_argument');
export const notFound = factory('not_found');
export const alreadyExists = factory('already_exists');
export const permissionDenied = factory('permission_denied');
export const resourceExhausted = factory('resource_exhausted');
export const failedPrecondition = factory('failed_precondition');
export const conflict = factory('conflict');
export const notModified = factory('not_modified');
export const aborted = factory('aborted');
export const outOfRange = factory('out_of_range');
export const notImplemented = factory('not_implemented');
export const internal = factory('internal');
export const unavailable = factory('unavailable');
export const dataLoss = factory('data_loss');
export const unauthenticated = factory('unauthenticated');

/** A failed system call. It means `unknown` until the one caller that knows its meaning translates it. */
export class SysError extends Error {
  readonly syscall: string;
  /** Symbolic name, for example `ENOENT`. */
  readonly code: string;
  readonly errno: number;
  readonly path: string | undefined;

  constructor(syscall: string, code: string, errno: number, path?: string) {
    super(path === undefined ? `${syscall}: ${code}` : `${syscall} ${path}: ${code}`);
    this.name = 'SysError';
    this.syscall = syscall;
    this.code = code;
    this.errno = errno;
    this.path = path;
  }
}

/** The kind of the first BerthError on the chain of causes; an AbortError counts as `aborted`; else `unknown`. */
export function kindOf(error: unknown): ErrorKind {
  for (let e: unknown = error, depth = 0; e instanceof Error && depth < 16; e = e.cause, depth++) {
    if (e instanceof BerthError) return e.kind;
    if (e.name === 'AbortError') return 'aborted';
  }
  return 'unknown';
}

export const isKind = (error: unknown, kind: ErrorKind): boolean => kindOf(error) === kind;

/** Adds context once per floor and keeps the kind: `context: message`. */
export function wrap(error: unknown, context: string): BerthError {
  return new BerthError(kindOf(error), `${context}: ${messageOf(error)}`, { cause: error });
}

export const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));
/** `code` of a Node or system-call error (`ENOENT`, …), else undefined. */
export const codeOf = (error: unknown): string | undefined =>
  error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined;

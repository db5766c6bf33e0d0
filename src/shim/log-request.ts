import { invalidArgument } from '../errors/error.ts';
import { parseSize, schemeOf, uriPath, uriQuery } from './stdio-uri.ts';

/** How a log file looks: Kubernetes' lines, Docker's JSON lines, or the bytes as they are. */
export type LogFormat = 'cri' | 'json' | 'raw';

/** A log file, as a client asked for it by a URI. */
export interface LogTarget {
  readonly path: string;
  readonly format: LogFormat;
  /** The file is put aside once it is so long; 0 = never. */
  readonly maxBytes: number;
  /** Files kept, the one being written included. */
  readonly maxFiles: number;
}

/** One stream of a log: the FIFO that the container writes to, and one that what is in the log leaves it by. */
export interface LogStreamRequest {
  readonly name: 'stdout' | 'stderr';
  readonly fifo: string;
  readonly spent: string;
}

/** All that the log worker needs to go on where an earlier one was killed. */
export interface LogRequest extends LogTarget {
  readonly key: string;
  /** File that says how far it came. */
  readonly state: string;
  readonly streams: readonly LogStreamRequest[];
}

/** To the log worker. */
export type LogOrder =
  | { readonly do: 'open'; readonly request: LogRequest }
  | { readonly do: 'reopen' | 'close'; readonly key: string };

/** From the log worker; `error` says why it could not. */
export interface LogAnswer {
  readonly done: 'opened' | 'reopened' | 'drained';
  readonly key: string;
  readonly error?: string;
}

const defaultFiles = 5;
const maxFilesAllowed = 1000;

/** `cri:///path`, `json:///path`, either with `?max-size=10m&max-file=3`; undefined for another scheme. @throws invalid_argument */
export function parseLogTarget(uri: string): LogTarget | undefined {
  const format = schemeOf(uri);
  if (format !== 'cri' && format !== 'json') return undefined;
  const asked = new Map(uriQuery(uri));
  const maxFiles = Number(asked.get('max-file') ?? defaultFiles);
  if (!Number.isSafeInteger(maxFiles) || maxFiles < 1 || maxFiles > maxFilesAllowed)
    throw invalidArgument(`max-file of ${uri} must be 1 to ${maxFilesAllowed}`);
  return { path: uriPath(uri), format, maxBytes: parseSize(asked.get('max-size') ?? ''), maxFiles };
}

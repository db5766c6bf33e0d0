import { type CallOptions as GrpcCallOptions, Metadata } from '@grpc/grpc-js';
import { leaseHeader, namespaceHeader } from './headers.ts';

/** What a caller may say of a call, or of all calls of a client. */
export interface CallOptions {
  /** Cancels the call; it then fails with the signal's reason. */
  readonly signal?: AbortSignal;
  /** Fails the call after this many milliseconds; default: no deadline. */
  readonly deadlineMs?: number;
  readonly namespace?: string;
  /** Lease (id) that what the call makes is added to. */
  readonly lease?: string;
  /** Further headers. */
  readonly headers?: Readonly<Record<string, string>>;
}

/** A client's options with those of one call over them. */
export function merge(defaults: CallOptions, options: CallOptions | undefined): CallOptions {
  return options === undefined ? defaults : { ...defaults, ...options };
}

/** The headers of a call. */
export function metadataOf(options: CallOptions): Metadata {
  const metadata = new Metadata();
  if (options.namespace) metadata.set(namespaceHeader, options.namespace);
  if (options.lease) metadata.set(leaseHeader, options.lease);
  for (const [name, value] of Object.entries(options.headers ?? {})) metadata.set(name, value);
  return metadata;
}

/** What grpc-js itself must know. */
export const grpcOptionsOf = ({ deadlineMs }: CallOptions): GrpcCallOptions =>
  deadlineMs === undefined ? {} : { deadline: Date.now() + deadlineMs };

import type { MessagePort } from 'node:worker_threads';
import type { HttpRequest, HttpResponse, Patience, ResponseBody } from './exchange.ts';

/** An exchange for the thread; all that follows goes over `port`. */
export interface ExchangeMessage {
  readonly request: Pick<HttpRequest, 'method' | 'headers' | 'tls' | 'dialTimeoutMs' | 'answerMs'> & {
    readonly url: string;
  };
  readonly patience: Patience;
  readonly port: MessagePort;
}

/** Where a body is to go: a file, which the other side keeps open until the pouring has stopped. */
export interface PourTarget {
  /** Descriptors belong to the process, so a thread can write to those of another. */
  readonly fd: number;
  /** Where in the file the body begins. */
  readonly offset: number;
  /** Where to stop. */
  readonly end: number;
  /** Where the body should end; anything behind it is a fault. */
  readonly size: number;
}

/** What is asked for of a body: its next chunk; all of it; to stop pouring at another place; to stop at once. */
export type BodyRequest =
  | { readonly read: true }
  | { readonly pour: PourTarget }
  | { readonly end: number }
  | { readonly stop: true };

/** An error as it crosses threads. */
export interface PlainError {
  readonly message: string;
  readonly code: string | undefined;
}

/** Why pouring is over: the body ended, the place to stop was reached, more came than should, or something failed. */
export type PourEnd =
  | { readonly reason: 'ended' | 'reached' | 'more' | 'stopped' }
  | { readonly reason: 'broken' | 'unwritable'; readonly error: PlainError };

export type BodyAnswer =
  | { readonly head: Pick<HttpResponse, 'status' | 'headers'> & Pick<ResponseBody, 'headersDistinct'> }
  | { readonly chunk: Uint8Array }
  | { readonly ended: true }
  | { readonly error: PlainError }
  /** The file holds everything up to `to`; the thread had nothing to do for `idleMs` since the last answer. */
  | { readonly poured: { readonly to: number; readonly idleMs: number } }
  | { readonly stopped: PourEnd };

import type { IncomingMessage, ServerResponse } from 'node:http';
import { pipeline } from 'node:stream/promises';
import { codeOf, invalidArgument, isKind, messageOf } from '../../errors/error.ts';
import type { Config } from '../config/config.ts';
import { logLevel } from '../config/values.ts';
import { HttpEndpoint } from '../http/endpoint.ts';
import { dumpText, threads } from './dump.ts';
import type { ProfileRequest } from './profiles.ts';
import type { RunningCalls } from './running-calls.ts';

/** What is looked at. */
export interface DebugSource {
  readonly version: string;
  readonly calls: RunningCalls;
  readonly logLevel: () => string;
  setLogLevel(level: Config['logLevel'], signal: AbortSignal): Promise<void>;
}

interface Answer {
  readonly type: string;
  readonly body: string | Uint8Array | NodeJS.ReadableStream;
}

type Route = (source: DebugSource, request: ProfileRequest) => Promise<Answer> | Answer;

const maxSeconds = 300;
const text = (body: string): Answer => ({ type: 'text/plain; charset=utf-8', body });
const json = (value: unknown): Answer => ({ type: 'application/json', body: JSON.stringify(value) });
const profile = (body: string | Uint8Array): Answer => ({
  type: typeof body === 'string' ? 'application/json' : 'application/octet-stream',
  body,
});

/** What can be asked, as net/http/pprof of Go names it, for `ctr pprof` and `go tool pprof`; profilers are loaded when they are. */
const routes: Readonly<Record<string, Route>> = {
  '/debug/pprof/': () => text(`${Object.keys(routes).join('\n')}\n`),
  '/debug/pprof/cmdline': () => text(process.argv.join('\0')),
  '/debug/pprof/goroutine': ({ version, calls }) => text(`${dumpText(version, calls.list())}\n`),
  '/debug/pprof/profile': async (_, request) =>
    profile(await (await import('./profiles.ts')).cpuProfile(request)),
  '/debug/pprof/heap': async (_, request) =>
    profile(await (await import('./profiles.ts')).heapProfile(request)),
  '/debug/pprof/block': async (_, request) =>
    text(await (await import('./profiles.ts')).blockProfile(request)),
  '/debug/pprof/threadcreate': () => text(`${threads().join('\n')}\n`),
  '/debug/heapsnapshot': async () => ({
    type: 'application/json',
    body: (await import('node:v8')).getHeapSnapshot(),
  }),
  '/debug/vars': () => json({ cmdline: process.argv, memstats: memory(), uptime: process.uptime() }),
  '/debug/level': ({ logLevel }) => text(`${logLevel()}\n`),
};

/** Seconds that are measured where nobody says how many; Go's for the first. */
const usualSeconds: Readonly<Record<string, number>> = { '/debug/pprof/profile': 30 };

/** The debug socket: profiles, what the daemon is doing, its log level. */
export class DebugServer implements AsyncDisposable {
  readonly #source: DebugSource;
  readonly #endpoint = new HttpEndpoint((request, response) => void this.#serve(request, response));

  constructor(source: DebugSource) {
    this.#source = source;
  }

  /** Listens where the configuration says, and no longer where it did. @throws the system's error, then nothing changes */
  listen({ debugAddress, debugUid: uid, debugGid: gid }: Config): Promise<void> {
    return this.#endpoint.listen(debugAddress, { uid, gid });
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#endpoint[Symbol.asyncDispose]();
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const gone = new AbortController();
    response.once('close', () => gone.abort());
    try {
      const { type, body } = await this.#answer(request, gone.signal);
      response.writeHead(200, { 'content-type': type });
      if (typeof body === 'string' || body instanceof Uint8Array) response.end(body);
      else await pipeline(body, response);
    } catch (error) {
      if (gone.signal.aborted || response.headersSent) return void response.destroy();
      response.writeHead(statusOf(error), { 'content-type': 'text/plain' }).end(`${messageOf(error)}\n`);
    }
  }

  async #answer({ url = '/', method }: IncomingMessage, signal: AbortSignal): Promise<Answer> {
    const wanted = new URL(url, 'http://debug');
    const { pathname } = wanted;
    if (method === 'PUT' && pathname === '/debug/level') return this.#setLevel(wanted, signal);
    if (method !== 'GET') throw new HttpError(405, 'only GET, and PUT of /debug/level');
    const route = Object.hasOwn(routes, pathname) ? routes[pathname] : undefined;
    if (route === undefined) throw new HttpError(404, `${pathname} is not had from Node: see /debug/pprof/`);
    const seconds = secondsOf(wanted, usualSeconds[pathname] ?? 1);
    const asJson = wanted.searchParams.get('format') === 'json';
    return await route(this.#source, { seconds, json: asJson, signal });
  }

  async #setLevel({ searchParams }: URL, signal: AbortSignal): Promise<Answer> {
    try {
      await this.#source.setLogLevel(logLevel(searchParams.get('level')), signal);
    } catch (error) {
      throw invalidArgument(`level ${messageOf(error)}`, error);
    }
    return text(`${this.#source.logLevel()}\n`);
  }
}

class HttpError extends Error {
  readonly status: number;
  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

function statusOf(error: unknown): number {
  if (error instanceof HttpError) return error.status;
  if (isKind(error, 'invalid_argument') || codeOf(error) === 'ERR_INVALID_URL') return 400;
  return isKind(error, 'resource_exhausted') ? 503 : 500;
}

function secondsOf({ searchParams }: URL, usual: number): number {
  const given = searchParams.get('seconds');
  if (given === null) return usual;
  const seconds = Number(given);
  if (given !== '' && seconds > 0 && seconds <= maxSeconds) return seconds;
  throw invalidArgument(`seconds must be more than 0 and at most ${maxSeconds}`);
}

function memory(): Readonly<Record<string, number>> {
  const { heapUsed, heapTotal, rss } = process.memoryUsage();
  return { Alloc: heapUsed, HeapAlloc: heapUsed, HeapSys: heapTotal, Sys: rss };
}

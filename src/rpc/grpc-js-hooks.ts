import type { Http2Server, IncomingHttpHeaders, ServerHttp2Session } from 'node:http2';
import { type Server, setLogger } from '@grpc/grpc-js';
import { Code } from './status.ts';

/**
 * The two places where we reach into grpc-js (pinned at 1.14.7) because it has no option for them; grpc-server.test.ts
 * fails when a new version moves them. One makes the HTTP/2 server, the other finds the handler of a path.
 */
interface Internals {
  commonServerOptions: Record<string, unknown>;
  createHttp2Server(credentials: unknown): Http2Server;
  _retrieveHandler(path: string): object | null;
}

/** Bytes a client may send ahead on one call; on one connection four times as much. Node's default is 64 KiB. */
const streamWindowBytes = 1024 * 1024;
const connectionWindowBytes = 4 * streamWindowBytes;

const settings = {
  initialWindowSize: streamWindowBytes,
  maxConcurrentStreams: 1024,
  maxHeaderListSize: 64 * 1024,
};

/** grpc-js prints what clients get wrong to stderr; what matters of it comes back as the error of a call. */
export function silenceGrpcJs(): void {
  setLogger({ error() {}, info() {}, debug() {} });
}

/** Larger HTTP/2 windows, bounded headers, bad frames that end one connection only, deadlines beyond 24 days. */
export function tuneHttp2(server: Server): void {
  const internals = server as unknown as Internals;
  Object.assign(internals.commonServerOptions, { settings, maxHeaderListPairs: 128 });
  const create = internals.createHttp2Server.bind(server);
  internals.createHttp2Server = (credentials) => {
    const http2 = create(credentials);
    http2.on('session', (session: ServerHttp2Session) => session.setLocalWindowSize(connectionWindowBytes));
    http2.on('sessionError', () => {});
    http2.prependListener('stream', (_stream, headers: IncomingHttpHeaders) => shortenTimeout(headers));
    return http2;
  };
}

/** grpc-js keeps deadlines in 32 bits of milliseconds: what would overflow (and fire at once) becomes no deadline. */
function shortenTimeout(headers: IncomingHttpHeaders): void {
  const match = /^(\d{1,8})([HMS])$/.exec(String(headers['grpc-timeout'] ?? ''));
  if (match === null) return;
  const seconds = Number(match[1]) * (match[2] === 'H' ? 3600 : match[2] === 'M' ? 60 : 1);
  if (seconds > 2_000_000) delete headers['grpc-timeout'];
}

/** Answers unknown services and methods in grpc-go's words, which is what containerd's clients print. */
export function nameUnknownMethods(server: Server, knownServices: ReadonlySet<string>): void {
  const internals = server as unknown as Internals;
  const retrieve = internals._retrieveHandler.bind(server);
  internals._retrieveHandler = (path) => retrieve(path) ?? unknownHandler(path, knownServices);
}

function unknownHandler(path: string, knownServices: ReadonlySet<string>): object {
  const details = unknownMethodMessage(path, knownServices);
  return {
    type: 'bidi',
    path,
    serialize: (bytes: Buffer) => bytes,
    deserialize: (bytes: Buffer) => bytes,
    func: (call: { emit(event: 'error', status: object): void }) =>
      call.emit('error', { code: Code.unimplemented, details }),
  };
}

/** `unknown service X` or `unknown method M for service X`; for a path that is no `/service/method`, that. */
export function unknownMethodMessage(path: string, knownServices: ReadonlySet<string>): string {
  const [, service, method] = /^\/([^/]+)\/([^/]+)$/.exec(path.slice(0, 512)) ?? [];
  if (service === undefined) return `malformed method name: ${JSON.stringify(path.slice(0, 512))}`;
  if (!knownServices.has(service)) return `unknown service ${service} (/${service}/${method})`;
  return `unknown method ${method} for service ${service} (/${service}/${method})`;
}

import { constants, type ServerHttp2Stream } from 'node:http2';

/** Names and values of a stream's last headers. Printable ASCII, names in lower case. */
export type Trailers = Readonly<Record<string, string>>;

/** What a stream of `node:http2` hands its trailers to: a text of `name NUL value NUL flags` each, and how many. */
interface TrailerHandle {
  trailers(list: readonly [text: string, count: number]): number;
}

/**
 * Sends a stream's trailers, inside its event `wantTrailers`. Node's own `sendTrailers` puts them off by an immediate, so that
 * they leave a turn of the event loop later, and every caller waits for them: a third of a small call
 * (docs/decisions/0009). nghttp2 is made to take them right there. A Node without such a handle sends them its own way.
 */
export function sendTrailers(stream: ServerHttp2Stream, trailers: Trailers): void {
  const handle = handleOf(stream);
  if (handle === undefined) {
    stream.sendTrailers(trailers);
    return;
  }
  const lines = Object.entries(trailers);
  const text = lines.map(([name, value]) => `${name}\0${value}\0${noFlags}`).join('');
  if (handle.trailers([text, lines.length]) < 0) stream.close(constants.NGHTTP2_INTERNAL_ERROR);
}

/** May be compressed into the connection's table. */
const noFlags = '\0';

let handleKey: symbol | undefined;

/** Node keeps it under a symbol of its own. */
function handleOf(stream: ServerHttp2Stream): TrailerHandle | undefined {
  const properties = stream as unknown as Readonly<Record<symbol, unknown>>;
  handleKey ??= Object.getOwnPropertySymbols(stream).find((key) => isHandle(properties[key]));
  const handle = handleKey === undefined ? undefined : properties[handleKey];
  return isHandle(handle) ? handle : undefined;
}

const isHandle = (value: unknown): value is TrailerHandle =>
  typeof value === 'object' && value !== null && 'trailers' in value && typeof value.trailers === 'function';

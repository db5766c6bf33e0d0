import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import { gzipSync } from 'node:zlib';
import type { Descriptor } from '../../src/oci/descriptor.ts';
import type { Digest } from '../../src/oci/digest.ts';
import { mediaTypes } from '../../src/oci/media-types.ts';
import { FlakyUploads } from './flaky-uploads.ts';

/** Handles a request and returns true, or leaves it to what comes after. */
export type Script = (request: IncomingMessage, response: ServerResponse) => boolean;

export interface SeenRequest {
  readonly method: string;
  readonly path: string;
  readonly headers: IncomingMessage['headers'];
  readonly body: string;
}

export type Respond = (request: IncomingMessage, response: ServerResponse, body: Buffer) => void;
export interface TlsFiles {
  readonly cert: string;
  readonly key: string;
  /** Vouches for the certificates of clients. */
  readonly ca?: string;
  readonly requestCert?: boolean;
  readonly rejectUnauthorized?: boolean;
}

/** An HTTP or HTTPS server on loopback that keeps what it was asked. */
export class ScriptedServer implements AsyncDisposable {
  readonly seen: SeenRequest[] = [];
  /** Scripts that come before the body is read. */
  readonly early: Script[] = [];
  readonly #server: Server;
  readonly #respond: Respond;

  readonly #scheme: 'http' | 'https';

  protected constructor(respond: Respond, tls?: TlsFiles) {
    this.#respond = respond;
    this.#scheme = tls === undefined ? 'http' : 'https';
    const listener = (request: IncomingMessage, response: ServerResponse) =>
      void this.#handle(request, response);
    this.#server = tls === undefined ? createServer(listener) : createTlsServer(tls, listener);
  }

  static async serve(respond: Respond, tls?: TlsFiles): Promise<ScriptedServer> {
    return new ScriptedServer(respond, tls).listen();
  }

  protected async listen(): Promise<this> {
    this.#server.listen(0, '127.0.0.1');
    await once(this.#server, 'listening');
    return this;
  }

  get port(): number {
    const address = this.#server.address();
    if (address === null || typeof address === 'string') throw new Error('not listening');
    return address.port;
  }

  get host(): string {
    return `127.0.0.1:${this.port}`;
  }

  get url(): string {
    return `${this.#scheme}://${this.host}`;
  }

  paths(): string[] {
    return this.seen.map(({ method, path }) => `${method} ${path}`);
  }

  /** Everything of the requests, to look for secrets in. */
  transcript(): string {
    return JSON.stringify(this.seen);
  }

  async #handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { method = '', url = '', headers } = request;
    response.on('error', () => {});
    const seen = { method, path: url, headers, body: '' };
    this.seen.push(seen);
    if (this.early.some((script) => script(request, response))) return;
    const chunks: Buffer[] = [];
    try {
      for await (const chunk of request as AsyncIterable<Buffer>) chunks.push(chunk);
    } catch {
      return; // the client went away
    }
    const body = Buffer.concat(chunks);
    seen.body = body.length <= 64 * 1024 ? body.toString() : '';
    this.#respond(request, response, body);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, 'close');
  }
}

/** A registry of a few blobs and manifests in memory that does what `scripts` say before it does what is right. */
export class FlakyRegistry extends ScriptedServer {
  readonly scripts: Script[] = [];
  readonly blobs = new Map<string, Uint8Array>();
  /** By `repository/tag-or-digest`. */
  readonly manifests = new Map<string, { readonly bytes: Uint8Array; readonly mediaType: string }>();
  readonly uploads: FlakyUploads = new FlakyUploads(this);

  static async start(tls?: TlsFiles): Promise<FlakyRegistry> {
    const registry: FlakyRegistry = new FlakyRegistry(
      (request, response, body) => registry.#respond(request, response, body),
      tls,
    );
    return registry.listen();
  }

  addBlob(bytes: Uint8Array, mediaType: string = mediaTypes.ociLayerGzip): Descriptor {
    const digest = digestOf(bytes);
    this.blobs.set(digest, bytes);
    return { mediaType, digest, size: bytes.byteLength };
  }

  addManifest(
    repository: string,
    tag: string,
    document: unknown,
    mediaType: string = mediaTypes.ociManifest,
  ): Descriptor {
    const bytes = Buffer.from(typeof document === 'string' ? document : JSON.stringify(document));
    const digest = digestOf(bytes);
    for (const name of [tag, digest]) this.manifests.set(`${repository}/${name}`, { bytes, mediaType });
    return { mediaType, digest, size: bytes.byteLength };
  }

  /** A whole image of the given tar layers (gzipped here). `change` may spoil the documents before they are added. */
  addImage(
    repository: string,
    tag: string,
    tars: readonly Uint8Array[],
    change: ImageChange = {},
  ): Descriptor {
    const layers = tars.map((tar) => this.addBlob(gzipSync(tar)));
    const config = {
      os: 'linux',
      architecture: 'amd64',
      config: {},
      rootfs: { type: 'layers', diff_ids: tars.map(digestOf) },
      ...change.config,
    };
    const configBytes = Buffer.from(change.configText ?? JSON.stringify(config));
    const manifest = {
      schemaVersion: 2,
      mediaType: mediaTypes.ociManifest,
      config: this.addBlob(configBytes, mediaTypes.ociConfig),
      layers,
      ...change.manifest?.(layers),
    };
    return this.addManifest(repository, tag, manifest);
  }

  #respond(request: IncomingMessage, response: ServerResponse, body: Buffer): void {
    if (this.scripts.some((script) => script(request, response))) return;
    if (this.uploads.respond(request, response, body)) return;
    const [, repository = '', kind = '', name = ''] =
      /^\/v2\/(.+)\/(manifests|blobs)\/([^/?]+)/.exec(request.url ?? '') ?? [];
    if (kind === 'manifests') this.#manifest(request, response, `${repository}/${name}`);
    else if (kind === 'blobs') sendBlob(request, response, this.blobs.get(name));
    else response.writeHead(404).end();
  }

  #manifest(request: IncomingMessage, response: ServerResponse, key: string): void {
    const found = this.manifests.get(key);
    if (found === undefined) {
      sendError(response, 404, 'MANIFEST_UNKNOWN', 'manifest unknown');
      return;
    }
    response.writeHead(200, {
      'content-type': found.mediaType,
      'content-length': found.bytes.byteLength,
      'docker-content-digest': digestOf(found.bytes),
    });
    response.end(request.method === 'HEAD' ? undefined : found.bytes);
  }
}

export interface ImageChange {
  readonly config?: Record<string, unknown>;
  readonly configText?: string;
  readonly manifest?: (layers: readonly Descriptor[]) => Record<string, unknown>;
}

/** Serves a blob, ranges included. */
export function sendBlob(
  request: IncomingMessage,
  response: ServerResponse,
  bytes: Uint8Array | undefined,
): void {
  if (bytes === undefined) {
    sendError(response, 404, 'BLOB_UNKNOWN', 'blob unknown to registry');
    return;
  }
  const part = blobPart(request, bytes);
  response.writeHead(part.status, part.headers);
  response.end(request.method === 'HEAD' ? undefined : part.bytes);
}

/** What a registry answers when asked for a blob or a range of it. */
export function blobPart({ headers }: IncomingMessage, bytes: Uint8Array) {
  const [, first = '', last = ''] = /^bytes=(\d+)-(\d*)$/.exec(headers.range ?? '') ?? [];
  const etag = { etag: '"v1"' };
  if (first === '') return { status: 200, headers: { 'content-length': bytes.byteLength, ...etag }, bytes };
  const start = Number(first);
  const end = last === '' ? bytes.byteLength : Math.min(Number(last) + 1, bytes.byteLength);
  const range = { 'content-range': `bytes ${start}-${end - 1}/${bytes.byteLength}` };
  const part = bytes.subarray(start, end);
  return { status: 206, headers: { 'content-length': part.byteLength, ...range, ...etag }, bytes: part };
}

export function sendError(response: ServerResponse, status: number, code: string, message: string): void {
  response.writeHead(status, { 'content-type': 'application/json' });
  response.end(JSON.stringify({ errors: [{ code, message }] }));
}

export const digestOf = (bytes: Uint8Array): Digest =>
  `sha256:${createHash('sha256').update(bytes).digest('hex')}` as Digest;

/** Runs `script` for the first `times` requests whose `METHOD path` matches. */
export function firstTimes(
  times: number,
  pattern: RegExp,
  script: (request: IncomingMessage, response: ServerResponse) => void,
): Script {
  let left = times;
  return (request, response) => {
    if (left === 0 || !pattern.test(`${request.method} ${request.url}`)) return false;
    left--;
    script(request, response);
    return true;
  };
}

/** Runs `script` for every request that matches. */
export const always = (
  pattern: RegExp,
  script: (request: IncomingMessage, response: ServerResponse) => void,
): Script => firstTimes(Number.POSITIVE_INFINITY, pattern, script);

/** A tar (ustar), owner root: regular files (0644), directories where the name ends in `/` (0700), hard links. */
export function tarOf(
  files: Readonly<Record<string, string | Uint8Array | { readonly link: string }>>,
): Buffer {
  const members = Object.entries(files).flatMap(([name, content]) => {
    const link = typeof content === 'object' && 'link' in content ? content.link : '';
    const data = typeof content === 'object' && 'link' in content ? Buffer.alloc(0) : Buffer.from(content);
    return [tarHeader(name, data.length, link), data, Buffer.alloc((512 - (data.length % 512)) % 512)];
  });
  return Buffer.concat([...members, Buffer.alloc(1024)]);
}

function tarHeader(name: string, size: number, link: string): Buffer {
  const header = Buffer.alloc(512);
  const octal = (value: number, width: number) => value.toString(8).padStart(width - 1, '0');
  const directory = name.endsWith('/');
  const fields: [number, string][] = [
    [0, name],
    [100, octal(directory ? 0o700 : 0o644, 8)],
    [108, octal(0, 8)],
    [116, octal(0, 8)],
    [124, octal(size, 12)],
    [136, octal(1_700_000_000, 12)],
    [148, '        '],
    [156, directory ? '5' : link === '' ? '0' : '1'],
    [157, link],
    [257, 'ustar\x0000'],
  ];
  for (const [at, text] of fields) header.write(text, at, 'latin1');
  const sum = header.reduce((total, byte) => total + byte, 0);
  header.write(`${octal(sum, 7)}\0 `, 148, 'latin1');
  return header;
}

import { randomUUID } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { digestOf, type FlakyRegistry, sendError } from './flaky-registry.ts';

/** The writing half of a registry in memory: uploads, mounts, manifests. */
export class FlakyUploads {
  /** Bytes so far by upload. */
  readonly open = new Map<string, Buffer>();
  /** What a mount may take from: repositories. */
  readonly lends = new Set<string>();
  /** Answers OCI-Subject for manifests that have one. */
  knowsSubjects = true;
  readonly #registry: FlakyRegistry;

  constructor(registry: FlakyRegistry) {
    this.#registry = registry;
  }

  /** True when the request was one that writes, or asks how far an upload came. */
  respond(request: IncomingMessage, response: ServerResponse, body: Buffer): boolean {
    const url = new URL(request.url ?? '', 'http://x');
    const upload = /^\/v2\/(.+)\/blobs\/uploads\/([^/]*)$/.exec(url.pathname);
    if (upload !== null) this.#upload(request, response, url, body, upload[1] ?? '', upload[2] ?? '');
    else if (request.method === 'PUT') this.#manifest(request, response, url, body);
    else return false;
    return true;
  }

  #upload(
    request: IncomingMessage,
    response: ServerResponse,
    url: URL,
    body: Buffer,
    repository: string,
    id: string,
  ): void {
    if (request.method === 'POST') return void this.#begin(response, url, repository);
    const known = this.open.get(id);
    if (known === undefined) return void sendError(response, 404, 'BLOB_UPLOAD_UNKNOWN', 'upload unknown');
    if (request.method === 'GET') return void this.#tell(response, 204, repository, id);
    const start = Number(/^(\d+)-/.exec(request.headers['content-range'] ?? '')?.[1] ?? known.length);
    if (start !== known.length) return void this.#tell(response, 416, repository, id);
    this.open.set(id, Buffer.concat([known, body]));
    if (request.method === 'PATCH') return void this.#tell(response, 202, repository, id);
    this.#finish(response, url.searchParams.get('digest') ?? '', id);
  }

  #begin(response: ServerResponse, url: URL, repository: string): void {
    const digest = url.searchParams.get('mount') ?? '';
    if (this.lends.has(url.searchParams.get('from') ?? '') && this.#registry.blobs.has(digest)) {
      response.writeHead(201, { 'docker-content-digest': digest }).end();
      return;
    }
    const id = randomUUID();
    this.open.set(id, Buffer.alloc(0));
    this.#tell(response, 202, repository, id);
  }

  #tell(response: ServerResponse, status: number, repository: string, id: string): void {
    const size = this.open.get(id)?.length ?? 0;
    const headers = {
      location: `/v2/${repository}/blobs/uploads/${id}`,
      range: `0-${Math.max(0, size - 1)}`,
    };
    response.writeHead(status, headers).end();
  }

  #finish(response: ServerResponse, digest: string, id: string): void {
    const bytes = this.open.get(id) ?? Buffer.alloc(0);
    if (digestOf(bytes) !== digest) return void sendError(response, 400, 'DIGEST_INVALID', 'wrong bytes');
    this.open.delete(id);
    this.#registry.blobs.set(digest, bytes);
    response.writeHead(201, { 'docker-content-digest': digest }).end();
  }

  #manifest(request: IncomingMessage, response: ServerResponse, url: URL, bytes: Buffer): void {
    const [, repository = '', name = ''] = /^\/v2\/(.+)\/manifests\/([^/]+)$/.exec(url.pathname) ?? [];
    const document = JSON.parse(bytes.toString()) as Parts;
    const absent = [...(document.layers ?? []), ...(document.config ? [document.config] : [])].find(
      ({ digest }) => !this.#registry.blobs.has(digest),
    );
    if (absent !== undefined) return void sendError(response, 400, 'MANIFEST_BLOB_UNKNOWN', absent.digest);
    // An index may list blobs, too, as Distribution has it.
    const { manifests, blobs } = this.#registry;
    const hole = document.manifests?.find(
      ({ digest }) => !manifests.has(`${repository}/${digest}`) && !blobs.has(digest),
    );
    if (hole !== undefined) return void sendError(response, 400, 'MANIFEST_UNKNOWN', hole.digest);
    const digest = digestOf(bytes);
    const mediaType = request.headers['content-type'] ?? '';
    for (const key of [name, digest])
      this.#registry.manifests.set(`${repository}/${key}`, { bytes, mediaType });
    const subject = this.knowsSubjects ? document.subject?.digest : undefined;
    response
      .writeHead(201, {
        'docker-content-digest': digest,
        ...(subject !== undefined && { 'oci-subject': subject }),
      })
      .end();
  }
}

interface Parts {
  readonly config?: { readonly digest: string };
  readonly layers?: readonly { readonly digest: string }[];
  readonly manifests?: readonly { readonly digest: string }[];
  readonly subject?: { readonly digest: string };
}

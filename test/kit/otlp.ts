import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { buffer } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import { gunzipSync } from 'node:zlib';
import { BinaryReader, WireType } from '@bufbuild/protobuf/wire';

/** A span as it was sent. Ids are hex. */
export interface SentSpan {
  readonly traceId: string;
  readonly spanId: string;
  readonly parentId: string;
  readonly name: string;
  readonly startNanos: bigint;
  readonly endNanos: bigint;
  /** 2: error. */
  readonly status: number;
  readonly attributes: Readonly<Record<string, string>>;
  /** Of the process. */
  readonly resource: Readonly<Record<string, string>>;
}

type Field = readonly [no: number, value: Uint8Array | bigint];

/** A collector for OTLP over HTTP with protobuf bodies (opentelemetry-proto, trace/v1). */
export class OtlpCollector implements AsyncDisposable {
  readonly spans: SentSpan[] = [];
  readonly paths = new Set<string>();
  readonly #server: Server;

  private constructor() {
    this.#server = createServer(async (request, response) => {
      this.paths.add(request.url ?? '');
      const body = await buffer(request);
      const bytes = request.headers['content-encoding'] === 'gzip' ? gunzipSync(body) : body;
      this.spans.push(...spansOf(bytes));
      response.writeHead(200, { 'content-type': 'application/x-protobuf' }).end();
    });
  }

  static async start(): Promise<OtlpCollector> {
    const collector = new OtlpCollector();
    collector.#server.listen(0, '127.0.0.1');
    await once(collector.#server, 'listening');
    return collector;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** A span of that name that `wanted` likes; waits for it. */
  async find(name: string, wanted: (span: SentSpan) => boolean = () => true): Promise<SentSpan> {
    for (let tries = 0; tries < 500; tries++, await sleep(20)) {
      const found = this.spans.find((span) => span.name === name && wanted(span));
      if (found !== undefined) return found;
    }
    throw new Error(`no span ${name} among ${this.spans.map((span) => span.name).join(', ')}`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}

function fieldsOf(bytes: Uint8Array): Field[] {
  const reader = new BinaryReader(bytes);
  const fields: Field[] = [];
  while (reader.pos < reader.len) {
    const [no, type] = reader.tag();
    if (type === WireType.LengthDelimited) fields.push([no, reader.bytes()]);
    else if (type === WireType.Varint) fields.push([no, BigInt(reader.uint64())]);
    else if (type === WireType.Bit64) fields.push([no, BigInt(reader.fixed64())]);
    else reader.skip(type);
  }
  return fields;
}

const inside = (fields: readonly Field[], no: number): Field[][] =>
  fields.filter(([n]) => n === no).map(([, value]) => fieldsOf(value as Uint8Array));
const bytesAt = (fields: readonly Field[], no: number): Buffer =>
  Buffer.from((fields.find(([n]) => n === no)?.[1] as Uint8Array | undefined) ?? []);
const numberAt = (fields: readonly Field[], no: number): bigint =>
  (fields.find(([n]) => n === no)?.[1] as bigint | undefined) ?? 0n;

function attributesOf(fields: readonly Field[], no: number): Record<string, string> {
  const pairs = inside(fields, no).map((pair) => {
    const [[kind = 0, value = 0n] = []] = inside(pair, 2)[0] ?? [];
    return [
      bytesAt(pair, 1).toString(),
      kind === 1 ? Buffer.from(value as Uint8Array).toString() : `${value}`,
    ];
  });
  return Object.fromEntries(pairs) as Record<string, string>;
}

function spansOf(request: Uint8Array): SentSpan[] {
  return inside(fieldsOf(request), 1).flatMap((resourceSpans) => {
    const resource = attributesOf(inside(resourceSpans, 1)[0] ?? [], 1);
    const spans = inside(resourceSpans, 2).flatMap((scope) => inside(scope, 2));
    return spans.map((span) => ({
      traceId: bytesAt(span, 1).toString('hex'),
      spanId: bytesAt(span, 2).toString('hex'),
      parentId: bytesAt(span, 4).toString('hex'),
      name: bytesAt(span, 5).toString(),
      startNanos: numberAt(span, 7),
      endNanos: numberAt(span, 8),
      status: Number(numberAt(inside(span, 15)[0] ?? [], 3)),
      attributes: attributesOf(span, 9),
      resource,
    }));
  });
}

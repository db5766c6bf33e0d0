import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { buffer } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { gunzipSync } from 'node:zlib';
import { BinaryReader, WireType } from '@bufbuild/protobuf/wire';
import { Server as GrpcServer, type handleUnaryCall, ServerCredentials } from '@grpc/grpc-js';
import { patienceMs } from './until.ts';

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

const exportPath = '/opentelemetry.proto.collector.trace.v1.TraceService/Export';

/** A collector for OTLP (opentelemetry-proto, trace/v1): over HTTP with protobuf bodies, or over gRPC. */
export class OtlpCollector implements AsyncDisposable {
  readonly spans: SentSpan[] = [];
  /** HTTP paths, or gRPC methods, that spans came to. */
  readonly paths = new Set<string>();
  readonly url: string;
  readonly #close: () => Promise<void>;

  private constructor(port: number, close: () => Promise<void>) {
    this.url = `http://127.0.0.1:${port}`;
    this.#close = close;
  }

  static async start(): Promise<OtlpCollector> {
    const server = createServer(async (request, response) => {
      const body = await buffer(request);
      collector.#take(
        request.url ?? '',
        request.headers['content-encoding'] === 'gzip' ? gunzipSync(body) : body,
      );
      response.writeHead(200, { 'content-type': 'application/x-protobuf' }).end();
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const collector = new OtlpCollector((server.address() as AddressInfo).port, async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    });
    return collector;
  }

  static async startGrpc(): Promise<OtlpCollector> {
    const server = new GrpcServer();
    const bytes = { serialize: (value: Buffer) => value, deserialize: (value: Buffer) => value };
    const method = {
      path: exportPath,
      requestStream: false,
      responseStream: false,
      requestSerialize: bytes.serialize,
      requestDeserialize: bytes.deserialize,
      responseSerialize: bytes.serialize,
      responseDeserialize: bytes.deserialize,
    };
    const take: handleUnaryCall<Buffer, Buffer> = ({ request }, answer) => {
      collector.#take(exportPath, request);
      answer(null, Buffer.alloc(0));
    };
    server.addService({ export: method }, { export: take });
    const port = await promisify(server.bindAsync.bind(server))(
      '127.0.0.1:0',
      ServerCredentials.createInsecure(),
    );
    const collector = new OtlpCollector(port, async () => server.forceShutdown());
    return collector;
  }

  #take(path: string, request: Uint8Array): void {
    this.paths.add(path);
    this.spans.push(...spansOf(request));
  }

  /** A span of that name that `wanted` likes; waits for it. */
  async find(name: string, wanted: (span: SentSpan) => boolean = () => true): Promise<SentSpan> {
    for (const endMs = Date.now() + patienceMs; Date.now() < endMs; await sleep(20)) {
      const found = this.spans.find((span) => span.name === name && wanted(span));
      if (found !== undefined) return found;
    }
    throw new Error(`no span ${name} among ${this.spans.map((span) => span.name).join(', ')}`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#close();
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

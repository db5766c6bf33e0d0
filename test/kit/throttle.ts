import type { IncomingMessage, ServerResponse } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { blobPart, type FlakyRegistry, type Script } from './flaky-registry.ts';

const sliceMs = 20;

/** Answers blobs of more than 1 MiB with at most so many bytes a second on each connection; `gauge` counts those open at once. */
export function throttled(registry: FlakyRegistry, bytesPerSecond: number, gauge = new Gauge()): Script {
  return (request, response) => {
    const bytes = registry.blobs.get(request.url?.split('/').at(-1) ?? '');
    if (request.method !== 'GET' || bytes === undefined || bytes.byteLength < 1024 * 1024) return false;
    void drip(request, response, bytes, bytesPerSecond, gauge);
    return true;
  };
}

/** How many answers are on their way at once, were at most, and were on average since the first. */
export class Gauge {
  now = 0;
  most = 0;
  #sinceMs = 0;
  #changedMs = 0;
  #area = 0;

  change(by: number): void {
    const nowMs = performance.now();
    if (this.#sinceMs === 0) this.#sinceMs = nowMs;
    else this.#area += this.now * (nowMs - this.#changedMs);
    this.#changedMs = nowMs;
    this.now += by;
    this.most = Math.max(this.most, this.now);
  }

  get mean(): number {
    return this.#area / (this.#changedMs - this.#sinceMs);
  }
}

async function drip(
  request: IncomingMessage,
  response: ServerResponse,
  whole: Uint8Array,
  bytesPerSecond: number,
  gauge: Gauge,
): Promise<void> {
  const { status, headers, bytes } = blobPart(request, whole);
  response.writeHead(status, headers);
  gauge.change(1);
  response.once('close', () => gauge.change(-1));
  const start = performance.now();
  for (let sent = 0; !response.destroyed; await sleep(sliceMs)) {
    const due = Math.min(bytes.byteLength, Math.ceil(((performance.now() - start) * bytesPerSecond) / 1000));
    if (due === bytes.byteLength) return void response.end(bytes.subarray(sent));
    if (response.writableNeedDrain || due === sent) continue;
    response.write(bytes.subarray(sent, due));
    sent = due;
  }
}

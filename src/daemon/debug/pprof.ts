import type { HeapProfiler, Profiler } from 'node:inspector';
import { gzipSync } from 'node:zlib';
import {
  Line,
  Location,
  Function as PprofFunction,
  Profile,
  Sample,
  StringTable,
  ValueType,
} from 'pprof-format';

/** What a sample of a profile counts, in pprof's words. */
interface Unit {
  readonly type: string;
  readonly unit: string;
}

/** V8's CPU profile as `go tool pprof` and its relatives read it, gzipped. */
export function cpuToPprof({ nodes, startTime, endTime }: Profiler.Profile, seconds: number): Uint8Array {
  const parents = new Map<number, Profiler.ProfileNode>();
  for (const node of nodes) for (const child of node.children ?? []) parents.set(child, node);
  const hits = nodes.reduce((sum, { hitCount = 0 }) => sum + hitCount, 0);
  const nanosecondsAHit = hits === 0 ? 0 : ((endTime - startTime) * 1000) / hits;
  const builder = new Builder([
    { type: 'samples', unit: 'count' },
    { type: 'cpu', unit: 'nanoseconds' },
  ]);
  for (const node of nodes) {
    if (!node.hitCount || node.callFrame.functionName === '(idle)') continue;
    const stack = [];
    for (let at: Profiler.ProfileNode | undefined = node; at; at = parents.get(at.id))
      stack.push(at.callFrame);
    builder.add(stack, [node.hitCount, Math.round(node.hitCount * nanosecondsAHit)]);
  }
  return builder.encode(seconds);
}

/** V8's sampled heap, what was allocated meanwhile and is still held, in the same form. */
export function heapToPprof({ head }: HeapProfiler.SamplingHeapProfile, seconds: number): Uint8Array {
  const builder = new Builder([{ type: 'inuse_space', unit: 'bytes' }]);
  const visit = (node: HeapProfiler.SamplingHeapProfileNode, above: readonly CallFrame[]): void => {
    const stack = [node.callFrame, ...above];
    if (node.selfSize > 0) builder.add(stack, [node.selfSize]);
    for (const child of node.children) visit(child, stack);
  };
  visit(head, []);
  return builder.encode(seconds);
}

interface CallFrame {
  readonly functionName: string;
  readonly url: string;
  /** From 0. */
  readonly lineNumber: number;
}

class Builder {
  readonly #strings = new StringTable();
  readonly #functions: PprofFunction[] = [];
  readonly #locations: Location[] = [];
  readonly #samples: Sample[] = [];
  readonly #known = new Map<string, number>();
  readonly #units: readonly Unit[];

  constructor(units: readonly Unit[]) {
    this.#units = units;
  }

  /** `stack` from the leaf to the root. */
  add(stack: readonly CallFrame[], value: readonly number[]): void {
    const frames = stack.filter(({ functionName }) => functionName !== '(root)');
    this.#samples.push(
      new Sample({ locationId: frames.map((one) => this.#location(one)), value: [...value] }),
    );
  }

  encode(seconds: number): Uint8Array {
    const text = (words: string): number => this.#strings.dedup(words);
    const units = this.#units.map(({ type, unit }) => new ValueType({ type: text(type), unit: text(unit) }));
    const profile = new Profile({
      sampleType: units,
      sample: this.#samples,
      location: this.#locations,
      function: this.#functions,
      timeNanos: BigInt(Date.now()) * 1_000_000n,
      durationNanos: BigInt(Math.round(seconds * 1e9)),
      stringTable: this.#strings,
    });
    return gzipSync(profile.encode());
  }

  #location({ functionName, url, lineNumber }: CallFrame): number {
    const name = functionName || '(anonymous)';
    const key = `${name} ${url} ${lineNumber}`;
    const known = this.#known.get(key);
    if (known !== undefined) return known;
    const id = this.#locations.length + 1;
    const [nameId, filename] = [this.#strings.dedup(name), this.#strings.dedup(url)];
    const startLine = lineNumber + 1;
    this.#functions.push(new PprofFunction({ id, name: nameId, systemName: nameId, filename, startLine }));
    this.#locations.push(new Location({ id, line: [new Line({ functionId: id, line: startLine })] }));
    this.#known.set(key, id);
    return id;
  }
}

import { messageOf } from '../errors/error.ts';
import type { Digest } from '../oci/digest.ts';
import { isLayerType } from '../oci/media-types.ts';
import { Meter } from './meter.ts';
import type { TransferPhase, TransferProgress } from './progress.ts';

/** What a transfer is, as people would say it. */
export interface Subject {
  readonly verb: 'pull' | 'push' | 'copy' | 'import' | 'export';
  /** What is transferred: a reference, or what is known of an archive. */
  readonly name: string;
  /** Whether layers are unpacked once they are here, which takes time, too. */
  readonly unpacks?: boolean;
}

/** One manifest, config or layer of a transfer. Sizes in bytes. */
export interface TransferObject {
  readonly name: string;
  readonly digest: Digest;
  readonly mediaType: string;
  readonly phase: TransferPhase;
  /** Of what `phase` does. */
  readonly doneBytes: number;
  readonly totalBytes: number;
}

/** How far a transfer has come. */
export interface TransferState extends Subject {
  readonly id: string;
  readonly namespace: string;
  readonly startedAt: Date;
  readonly status: 'running' | 'done' | 'failed';
  /** Why it failed. */
  readonly error: string;
  /** Bytes that are at their destination, and all that are known of. What was there before counts in both. */
  readonly doneBytes: number;
  readonly totalBytes: number;
  /** Of the last five seconds. */
  readonly bytesPerSecond: number;
  /** Until everything is done at the speed of the last five seconds; undefined when nobody can say. */
  readonly etaMs: number | undefined;
  readonly objects: readonly TransferObject[];
}

/** Phases in which an object's bytes are on their way; in the others they are there, or have not begun to move. */
const moving = new Set<TransferPhase>(['waiting', 'downloading', 'uploading']);
const unpacking = new Set<TransferPhase>(['extracting', 'extracted']);

/** Keeps the state of one transfer from the steps that it reports. */
export class RunningTransfer {
  readonly id: string;
  readonly namespace: string;
  readonly subject: Subject;
  readonly #startedAt = new Date();
  readonly #objects = new Map<string, TransferObject>();
  readonly #bytes = new Meter();
  readonly #work = new Meter();
  #status: TransferState['status'] = 'running';
  #error = '';

  constructor(id: string, namespace: string, subject: Subject) {
    this.id = id;
    this.namespace = namespace;
    this.subject = subject;
  }

  get hasEnded(): boolean {
    return this.#status !== 'running';
  }

  see({ phase, name, descriptor, offset, total }: TransferProgress): void {
    if (descriptor === undefined || phase === 'resolved' || phase === 'saved') return;
    const { digest, mediaType } = descriptor;
    this.#objects.set(name, { name, digest, mediaType, phase, doneBytes: offset, totalBytes: total });
    this.#bytes.note(this.#sum(arrivedBytes));
    this.#work.note(this.#sum((object) => this.#workDone(object)));
  }

  end(failure?: unknown): void {
    this.#status = failure === undefined ? 'done' : 'failed';
    this.#error = failure === undefined ? '' : messageOf(failure);
  }

  state(): TransferState {
    const doneBytes = this.#sum(arrivedBytes);
    return {
      ...this.subject,
      id: this.id,
      namespace: this.namespace,
      startedAt: this.#startedAt,
      status: this.#status,
      error: this.#error,
      doneBytes,
      totalBytes: this.#sum(({ totalBytes }) => totalBytes),
      bytesPerSecond: this.#bytes.perSecond(doneBytes),
      etaMs: this.#etaMs(),
      objects: [...this.#objects.values()],
    };
  }

  #etaMs(): number | undefined {
    if (this.hasEnded) return 0;
    const done = this.#sum((object) => this.#workDone(object));
    const total = this.#sum((object) => object.totalBytes * (this.#unpacks(object) ? 2 : 1));
    const perSecond = this.#work.perSecond(done);
    return perSecond === 0 ? undefined : ((total - done) * 1000) / perSecond;
  }

  /** A layer that is unpacked counts twice: once to bring it, once to unpack it. */
  #workDone(object: TransferObject): number {
    return arrivedBytes(object) + (unpacking.has(object.phase) ? object.doneBytes : 0);
  }

  #unpacks({ mediaType }: TransferObject): boolean {
    return this.subject.unpacks === true && isLayerType(mediaType);
  }

  #sum(of: (object: TransferObject) => number): number {
    let sum = 0;
    for (const object of this.#objects.values()) sum += of(object);
    return sum;
  }
}

const arrivedBytes = ({ phase, doneBytes, totalBytes }: TransferObject): number =>
  moving.has(phase) ? doneBytes : totalBytes;

import type { ProgressUpdate } from '../rpc/stream-progress.ts';
import { refKey } from '../transfer/labels.ts';
import type { TransferPhase, TransferProgress } from '../transfer/progress.ts';
import { toWireDescriptor } from './descriptor-wire.ts';

/** containerd's words for what one object is doing; ctr draws a bar or a word by them. */
const words: Readonly<Partial<Record<TransferPhase, string>>> = {
  waiting: 'waiting',
  exists: 'already exists',
  downloading: 'downloading',
  complete: 'complete',
  extracting: 'extracting',
  extracted: 'extracted',
  uploading: 'uploading',
  mounted: 'already exists',
};

/** What containerd says of an archive as a whole. */
const sentences: Readonly<Partial<Record<TransferPhase, string>>> = {
  importing: 'Importing',
  imported: 'Completed import',
  exporting: 'Exporting',
  exported: 'Completed export',
};

/** How containerd calls the two ends of a transfer. */
export interface EndLabels {
  readonly from: string;
  readonly to: string;
}

/** Progress as clients of containerd know it. `root` is the name that objects without a parent hang under. */
export function toWireProgress(
  step: TransferProgress,
  { from, to }: EndLabels,
  root: string,
): ProgressUpdate[] {
  const desc = step.descriptor === undefined ? {} : { desc: toWireDescriptor(step.descriptor) };
  if (step.phase === 'resolving') return [{ event: `Resolving from ${from}` }];
  if (step.phase === 'resolved')
    return [{ event: `Pulling from ${from}` }, { event: 'fetching image content', name: root, ...desc }];
  if (step.phase === 'saved') return [{ event: 'saved', name: step.name, ...desc }];
  if (step.phase === 'done') return [{ event: `Completed pull from ${from}` }];
  if (step.phase === 'pushing')
    return [{ event: `Pushing to ${to}` }, { event: 'pushing content', name: root, ...desc }];
  if (step.phase === 'pushed')
    return [
      { event: 'pushed content', name: root, ...desc },
      { event: `Completed push to ${to}`, ...desc },
    ];
  if (step.phase === 'copying' || step.phase === 'copied')
    return [{ event: step.phase, name: step.name, progress: BigInt(step.offset) }];
  const sentence = sentences[step.phase];
  if (sentence !== undefined) return [{ event: sentence }];
  if (step.phase === 'warning') return [{ event: `warning: ${step.name}` }];
  const { name, parent, offset, total } = step;
  const parents = [parent === undefined ? root : refKey(parent)];
  return [
    {
      event: words[step.phase] ?? step.phase,
      name,
      parents,
      progress: BigInt(offset),
      total: BigInt(total),
      ...desc,
    },
  ];
}

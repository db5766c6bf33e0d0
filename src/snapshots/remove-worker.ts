import { parentPort } from 'node:worker_threads';
import { type JobMessage, packError } from '../layers/worker-messages.ts';
import { removeTree } from '../sys/remove-tree.ts';
import type { RemoveJob } from './remove-aside.ts';

/** The thread in which a large tree is removed (see remove-aside.ts). One job at a time. */

parentPort?.on('message', ({ job }: JobMessage<RemoveJob>) => {
  removeTree(job.path).then(
    () => parentPort?.postMessage({ outcome: null }),
    (error: unknown) => parentPort?.postMessage({ error: packError(error) }),
  );
});

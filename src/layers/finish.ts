import type { FinishJob } from './apply-job.ts';
import { finishLayerFile } from './erofs/finish-layer-file.ts';
import { finishLayer } from './unfinished.ts';

/** Completes a layer that was applied without what is beneath it. @throws what `finishLayer` and `finishLayerFile` throw */
export async function finish({ finish: kind, path, lower, unfinished }: FinishJob): Promise<undefined> {
  await (kind === 'directory' ? finishLayer : finishLayerFile)(path, lower, unfinished);
}

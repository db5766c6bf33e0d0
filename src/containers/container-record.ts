import type { Context } from '../async/context.ts';
import type { NewContainer } from '../metadata/container-store.ts';
import type { Any } from '../oci/any.ts';
import type { ImageProcess } from '../oci/image-config.ts';
import { containerLabels, restartLabels } from '../oci/label-names.ts';
import { inheritedLabels } from '../oci/spec/image-labels.ts';
import type { Plan } from './plan.ts';
import { checkedSignal } from './stop-signal.ts';

/** The record of a planned container, as containerd's clients expect one. @throws invalid_argument (stop signal) */
export function recordOf(ctx: Context, plan: Plan, image: ImageProcess, spec: Any): NewContainer {
  const { id, snapshotter, wanted } = plan;
  return {
    id,
    labels: labelsOf(ctx, plan, image),
    image: plan.image.name,
    runtime: { name: wanted.runtime || 'io.containerd.runc.v2', options: wanted.runtimeOptions },
    spec,
    snapshotter: snapshotter.name,
    snapshotKey: id,
    extensions: {},
    sandboxId: '',
  };
}

function labelsOf(
  ctx: Context,
  { id, name, logUri, wanted }: Plan,
  image: ImageProcess,
): Record<string, string> {
  const { kept, dropped } = inheritedLabels(image.labels);
  if (dropped.length > 0)
    ctx.log.warn({ id, labels: dropped.slice(0, 20) }, 'labels of the image were not taken over');
  return {
    ...kept,
    [containerLabels.stopSignal]: checkedSignal(wanted.stopSignal || image.stopSignal || 'SIGTERM'),
    ...(logUri !== '' && restartLabels.status in (wanted.labels ?? {}) && { [restartLabels.logUri]: logUri }),
    ...wanted.labels,
    [containerLabels.name]: name,
    ...(logUri === '' ? {} : { [containerLabels.logs]: logUri }),
    ...(wanted.autoRemove ? { [containerLabels.autoRemove]: 'true' } : {}),
  };
}

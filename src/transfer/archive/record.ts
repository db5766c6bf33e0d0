import type { Context } from '../../async/context.ts';
import type { Image } from '../../metadata/image-store.ts';
import type { Descriptor } from '../../oci/descriptor.ts';
import { labelNames } from '../../oci/label-names.ts';
import { addLabels } from '../blobs.ts';
import { childLabels } from '../labels.ts';
import type { TransferParts } from '../parts.ts';
import type { Report } from '../progress.ts';
import { recordImage } from '../record.ts';
import type { ImportRequest } from './import.ts';
import { namesInArchive } from './names.ts';

/** Records the images of an archive, and its index where that has a name. */
export async function recordAll(
  parts: TransferParts,
  ctx: Context,
  { names, indexName, labels = {} }: ImportRequest,
  images: readonly Descriptor[],
  index: Descriptor,
  report: Report,
): Promise<Image[]> {
  const saved: Image[] = [];
  const save = async (name: string, target: Descriptor, own: Readonly<Record<string, string>>) => {
    saved.push(await recordImage(parts.images, ctx, { name, target, labels: own }));
    report({ phase: 'saved', name, descriptor: target, offset: 0, total: 0 });
  };
  if (indexName !== undefined) {
    const held = { kind: 'index', mediaType: index.mediaType, manifests: images } as const;
    await addLabels(parts.content, ctx, index.digest, childLabels(held));
    await save(indexName, index, labels);
  }
  for (const image of images)
    for (const name of namesInArchive(image, names))
      await save(name, image, { ...labels, ...backTo(indexName) });
  return saved;
}

/** Records beside a main one go with it. */
const backTo = (indexName: string | undefined): Record<string, string> =>
  indexName === undefined
    ? {}
    : {
        [labelNames.imageBackReference]: indexName,
        [labelNames.expire]: `${new Date().toISOString().slice(0, 19)}Z`,
      };

import { mkdir, rm, rmdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { failedPrecondition, messageOf } from '../../errors/error.ts';
import { AT_FDCWD, O_RDONLY } from '../../sys/constants.ts';
import { openAt } from '../../sys/files.ts';
import { attachLoop } from '../../sys/loop-device.ts';
import { mountAll, unmountAll } from '../../sys/mount.ts';
import type { LayerMode } from '../layer-mode.ts';
import { probeImage } from './probe-image.ts';

/** How layer files come to be mounted: by the kernel alone (Linux 6.12), over a loop device, or not at all. */
export type LayerAttachment = 'file' | 'loop' | 'none';
/** What was found out at the start. */
export interface LayerSupport {
  /** How what is written from now on is kept. */
  readonly mode: Exclude<LayerMode, 'auto'>;
  /** How layer files are mounted, also those that an earlier configuration left. */
  readonly attachment: LayerAttachment;
  /** Why it is not `erofs`; '' where it is. */
  readonly reason: string;
}

/** Mounts a layer file read-only on a directory. @throws SysError, failed_precondition where none can be mounted */
export async function mountLayer(attachment: LayerAttachment, file: string, target: string): Promise<void> {
  if (attachment === 'none') throw failedPrecondition('layer files cannot be mounted here');
  if (attachment === 'file') return mountErofs(file, target);
  using opened = openAt(AT_FDCWD, file, O_RDONLY);
  using device = attachLoop(opened);
  await mountErofs(device.path, target);
}

const mountErofs = (source: string, target: string): Promise<void> =>
  mountAll([{ type: 'erofs', source, options: ['ro'] }], target);

/**
 * Finds out by trying, on the file system that will hold the layers and where they will be mounted.
 * @throws failed_precondition when the wanted mode is not possible here
 */
export async function probeLayers(wanted: LayerMode, root: string, mounts: string): Promise<LayerSupport> {
  const failures: string[] = [];
  for (const attachment of ['file', 'loop'] as const) {
    if (wanted === 'erofs-loop' && attachment === 'file') continue;
    const failure = await tryAttachment(attachment, root, mounts);
    if (failure === undefined) return found(wanted, attachment, failures);
    failures.push(`${attachment}: ${failure}`);
    if (wanted === 'erofs') break;
  }
  if (wanted === 'auto' || wanted === 'directories')
    return { mode: 'directories', attachment: 'none', reason: failures.join('; ') };
  throw failedPrecondition(`layers = "${wanted}" is not possible here: ${failures.join('; ')}`);
}

function found(wanted: LayerMode, attachment: 'file' | 'loop', failures: readonly string[]): LayerSupport {
  if (wanted === 'directories') return { mode: wanted, attachment, reason: 'configured' };
  const mode = attachment === 'file' ? 'erofs' : 'erofs-loop';
  return { mode, attachment, reason: wanted === 'erofs-loop' ? 'configured' : failures.join('; ') };
}

async function tryAttachment(
  attachment: LayerAttachment,
  root: string,
  mounts: string,
): Promise<string | undefined> {
  const [image, target] = [join(root, 'probe.erofs'), join(mounts, 'probe')];
  try {
    await writeFile(image, probeImage());
    await mkdir(target, { recursive: true, mode: 0o700 });
    await mountLayer(attachment, image, target);
    return undefined;
  } catch (error) {
    return messageOf(error);
  } finally {
    await unmountAll(target, { detach: true });
    await rmdir(target).catch(() => {});
    await rm(image, { force: true });
  }
}

import type { Context } from '../async/context.ts';
import { invalidArgument } from '../errors/error.ts';
import { ByteSender, receiveBytes } from '../rpc/byte-stream.ts';
import type { Streams } from '../rpc/streams.ts';
import type { ContainerPathParts } from '../transfer/container-path/container-root.ts';
import { copyBetween, copyIn, copyOut } from '../transfer/container-path/copy-path.ts';
import type { TransferParts } from '../transfer/parts.ts';
import type { TransferProgress } from '../transfer/progress.ts';
import { sending } from './transfer-archives.ts';
import type { TransferEnd } from './transfer-ends.ts';

/**
 * Transfers of which an end is a path in a container; undefined for all others.
 * @throws invalid_argument (media type), not_found (a stream that was never opened)
 */
export function pathTransfer(
  parts: TransferParts,
  reach: ContainerPathParts,
  streams: Streams,
  ctx: Context,
  from: TransferEnd,
  to: TransferEnd,
): AsyncIterable<TransferProgress> | undefined {
  if (from.kind === 'container path' && to.kind === 'container path')
    return copyBetween(parts, reach, ctx, from.message, to.message);
  if (from.kind === 'container path' && (to.kind === 'write stream' || to.kind === 'export stream')) {
    checkMediaType(to.message.mediaType);
    const stream = streams.get(ctx, to.message.stream);
    const sender = new ByteSender(stream);
    const target = {
      write: (bytes: Uint8Array) => sender.write(bytes),
      around: (work: () => Promise<void>) => sending(stream, work),
    };
    return copyOut(parts, reach, ctx, from.message, target);
  }
  if (to.kind === 'container path' && (from.kind === 'read stream' || from.kind === 'import stream')) {
    checkMediaType(from.message.mediaType);
    const stream = streams.get(ctx, from.message.stream);
    return copyIn(parts, reach, ctx, to.message, () => receiveBytes(stream));
  }
  return undefined;
}

const plainTars = new Set(['', 'application/x-tar', 'application/vnd.oci.image.layer.v1.tar']);

function checkMediaType(mediaType: string): void {
  if (!plainTars.has(mediaType))
    throw invalidArgument(`media type ${JSON.stringify(mediaType.slice(0, 100))}: want a plain tar`);
}

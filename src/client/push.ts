import { create } from '@bufbuild/protobuf';
import { dataLoss } from '../errors/error.ts';
import { ImageStoreSchema, OCIRegistrySchema } from '../gen/containerd/types/transfer/transfer_pb.ts';
import type { Digest } from '../oci/digest.ts';
import type { Platform } from '../oci/platform.ts';
import type { Connection } from './connection.ts';
import { toDigest, toPlatform } from './convert.ts';
import { drain } from './drain.ts';
import { openAccess, type RegistryAccess } from './registry-access.ts';
import { endOf, runTransfer, type TransferProgress, type TransferScope } from './transfer.ts';

/** How to push. */
export interface PushOptions extends RegistryAccess {
  /** Reference to push as. Default: the image's own name. */
  readonly as?: string;
  /** Platforms to push; default: all that are here. */
  readonly platforms?: readonly Platform[];
}

/** How to copy from one registry to another. */
export interface CopyOptions {
  readonly from?: Omit<RegistryAccess, 'signal'>;
  readonly to?: Omit<RegistryAccess, 'signal'>;
  readonly signal?: AbortSignal;
}

/** A running push or copy: iterate it for progress, or just wait for the {@link digest}. */
export interface Push extends AsyncIterable<TransferProgress> {
  /** What the registry now has under the reference. Reads the progress itself when nobody iterates. */
  digest(): Promise<Digest>;
}

/** Pushes by Transfer. @throws not_found, unauthenticated, permission_denied, unavailable, failed_precondition */
export function startPush(
  connection: Connection,
  name: string,
  reference: string,
  options: PushOptions,
): Push {
  const steps = runTransfer(connection, options.signal, async (scope) => {
    const platforms = (options.platforms ?? []).map(toPlatform);
    return {
      source: endOf(ImageStoreSchema, create(ImageStoreSchema, { name, platforms })),
      destination: await registryEnd(connection, reference, options, scope),
    };
  });
  return watched(steps);
}

async function registryEnd(
  connection: Connection,
  reference: string,
  access: RegistryAccess,
  scope: TransferScope,
) {
  const resolver = { ...(await openAccess(connection, access, scope)) };
  return endOf(OCIRegistrySchema, create(OCIRegistrySchema, { reference, resolver }));
}

/** Copies by Transfer, through the daemon but not into it. @throws as {@link startPush} */
export function startCopy(
  connection: Connection,
  source: string,
  destination: string,
  { from = {}, to = {}, signal }: CopyOptions,
): Push {
  const steps = runTransfer(connection, signal, async (scope) => ({
    source: await registryEnd(connection, source, from, scope),
    destination: await registryEnd(connection, destination, to, scope),
  }));
  return watched(steps);
}

/** Keeps the digest that goes by at the end. */
function watched(steps: AsyncIterable<TransferProgress>): Push {
  let digest: string | undefined;
  const passing = (async function* () {
    for await (const step of steps) {
      if (step.event === 'pushed content') digest = step.digest;
      yield step;
    }
  })();
  let finished: Promise<Digest> | undefined;
  const finish = async (): Promise<Digest> => {
    await drain(passing);
    if (digest === undefined) throw dataLoss('daemon did not say what it pushed');
    return toDigest(digest);
  };
  return {
    [Symbol.asyncIterator]: () => passing,
    digest() {
      finished ??= finish();
      return finished;
    },
  };
}

import type { Context } from '../async/context.ts';
import { messageOf } from '../errors/error.ts';
import { checkContent, orphanContent, orphanIngests } from './check-content.ts';
import { checkDatabase, checkReferences } from './check-records.ts';
import { checkMounts, checkSnapshots, orphanSnapshots } from './check-snapshots.ts';
import { Holdings } from './holdings.ts';
import type { StorageParts } from './parts.ts';
import type { CheckOptions, CheckProgress, Finding } from './storage.ts';

/** Something found, and how it may be put right. */
export interface Fault extends Omit<Finding, 'repaired' | 'error'> {
  /** Absent: nothing can be done about it here. @throws why it could not */
  readonly repair?: (ctx: Context) => Promise<void>;
}

/** A fault, or bytes that were looked through. */
export type Step = { readonly fault: Fault } | { readonly bytes: number };

/**
 * Compares records, files and mounts while the daemon works on, and hashes every blob again. Things that come or go
 * meanwhile are looked at twice, so that they are no faults.
 */
export async function* check(
  parts: StorageParts,
  ctx: Context,
  { repair = false, quick = false }: CheckOptions,
): AsyncGenerator<CheckProgress> {
  const holdings = await Holdings.read(parts.metadata, ctx);
  const content = holdings.nodesOf('content');
  const sizes = new Map(
    content.map((node) => [holdings.things.get(node)?.body, holdings.things.get(node)?.bytes ?? 0]),
  );
  const totalBytes = quick ? 0 : [...sizes.values()].reduce((sum, bytes) => sum + bytes, 0);
  let doneBytes = 0;
  yield { doneBytes, totalBytes };
  for await (const step of steps(parts, ctx, holdings, quick)) {
    ctx.signal.throwIfAborted();
    if ('bytes' in step) doneBytes += step.bytes;
    const finding = 'fault' in step ? await report(ctx, step.fault, repair) : undefined;
    yield { doneBytes, totalBytes, ...(finding && { finding }) };
  }
}

async function* steps(
  parts: StorageParts,
  ctx: Context,
  holdings: Holdings,
  quick: boolean,
): AsyncGenerator<Step> {
  yield* checkDatabase(parts);
  yield* checkReferences(parts);
  yield* orphanContent(parts);
  yield* orphanIngests(parts);
  // Blobs before the snapshots that are made of them.
  yield* checkContent(parts, ctx, holdings, quick);
  yield* checkSnapshots(parts, ctx, quick);
  yield* orphanSnapshots(parts);
  yield* checkMounts(parts);
}

async function report(ctx: Context, { repair, ...fault }: Fault, wanted: boolean): Promise<Finding> {
  if (!wanted) return { ...fault, repaired: false };
  if (repair === undefined) return { ...fault, repaired: false, error: 'cannot be repaired here' };
  try {
    await repair(ctx);
    return { ...fault, repaired: true };
  } catch (error) {
    return { ...fault, repaired: false, error: messageOf(error) };
  }
}

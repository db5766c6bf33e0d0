import assert from 'node:assert/strict';
import { statfsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { test } from 'node:test';
import { daemonContext, silentLog } from '../async/context.ts';
import { parseDigest } from '../oci/digest.ts';
import { DiskSpace, type Incoming } from './disk-space.ts';

const ctx = daemonContext(silentLog, 'default');
const { bavail, bsize } = statfsSync(tmpdir());
const half = Math.floor((bavail * bsize) / 2);
const digest = (digit: string) => parseDigest(`sha256:${digit.repeat(64)}`);
const blob = (digit: string, sizeBytes: number, more: Partial<Incoming> = {}): Incoming => ({
  digest: digest(digit),
  sizeBytes,
  hereBytes: 0,
  unpacks: false,
  ...more,
});

test('what does not fit is refused with what is missing and what pruning would free', async () => {
  const disk = new DiskSpace(tmpdir(), async () => 5 * 2 ** 20);
  await assert.rejects(disk.reserve(ctx, [blob('1', 4 * half)], 'big'), {
    kind: 'resource_exhausted',
    message:
      /^big: not enough disk space at .*: .* MiB needed, .* MiB free, .* MiB missing; berth prune -a would free 5.0 MiB$/,
  });
  using _ = await disk.reserve(ctx, [blob('1', 4 * half, { hereBytes: 4 * half })], 'nearly here');
  await assert.rejects(
    disk.reserve(ctx, [blob('2', half * 1.5, { unpacks: true })], 'unpacked'),
    /MiB missing/,
  );
});

test('transfers count on room of their own, but on the same blob once, and give back what they do not need', async () => {
  const disk = new DiskSpace(tmpdir());
  const first = await disk.reserve(ctx, [blob('1', half * 1.2)], 'first');
  using _same = await disk.reserve(ctx, [blob('1', half * 1.2)], 'same');
  await assert.rejects(disk.reserve(ctx, [blob('2', half)], 'second'), /MiB of it for other pulls\)/);
  const descriptor = { mediaType: '', digest: digest('1'), size: half * 1.2 };
  first.note({ phase: 'downloading', name: '', descriptor, offset: half * 1.1, total: half * 1.2 });
  using _second = await disk.reserve(ctx, [blob('2', half)], 'second');
  first[Symbol.dispose]();
});

test('a transfer that needs nothing is never refused', async () => {
  const disk = new DiskSpace(tmpdir());
  using _ = await disk.reserve(ctx, [blob('1', half * 1.9)], 'first');
  using _none = await disk.reserve(ctx, [], 'all is here');
});

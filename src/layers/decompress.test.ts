import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { promisify } from 'node:util';
import { constants, deflateSync, gzipSync, inflate, zstdCompressSync } from 'node:zlib';
import fc from 'fast-check';
import { isKind } from '../errors/error.ts';
import { decompress } from './decompress.ts';
import { defaultLayerLimits } from './limits.ts';

const gzipType = 'application/vnd.oci.image.layer.v1.tar+gzip';
const zstdType = 'application/vnd.oci.image.layer.v1.tar+zstd';
const skippable = Buffer.from('502a4d180500000068656c6c6f', 'hex');

/** Each piece is valid until the next. */
async function* inSteps(bytes: Buffer, step: number): AsyncGenerator<Buffer> {
  const piece = Buffer.alloc(Math.min(step, bytes.length));
  for (let at = 0; at < bytes.length; at += step)
    yield piece.subarray(0, bytes.copy(piece, 0, at, at + step));
}

async function inflated(
  bytes: Buffer,
  mediaType: string,
  step = 1 << 20,
  limits = defaultLayerLimits,
  libraries = true,
): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of decompress(inSteps(bytes, step), mediaType, limits, { libraries }))
    chunks.push(Buffer.from(chunk));
  return Buffer.concat(chunks).toString('latin1');
}

const random = (length: number, seed: number): Buffer => {
  let state = seed;
  return Buffer.from(
    Array.from({ length }, () => {
      state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
      return (state >>> 16) % 97;
    }),
  );
};

for (const libraries of [true, false])
  describe(libraries ? 'gzip by igzip, where it is installed' : 'gzip by zlib', () => {
    const read = (bytes: Buffer, step?: number) =>
      inflated(bytes, gzipType, step, defaultLayerLimits, libraries);
    const refused = (bytes: Buffer, step?: number) =>
      assert.rejects(read(bytes, step), (error) => isKind(error, 'invalid_argument'));
    const text = Buffer.concat([random(70_000, 1), Buffer.alloc(2_500_000, 'z'), random(30_000, 2)]);

    test('comes out as it went in, whatever the steps, levels and members', async () => {
      for (const level of [0, 1, 6, 9] as const) {
        const bytes = gzipSync(text, { level });
        for (const step of [9973, 1 << 20]) assert.ok((await read(bytes, step)) === text.toString('latin1'));
      }
      const members = Buffer.concat(Array.from({ length: 120 }, (_, i) => gzipSync(random(i, i))));
      const whole = Buffer.concat(Array.from({ length: 120 }, (_, i) => random(i, i))).toString('latin1');
      for (const step of [3, 10, 1000]) assert.ok((await read(members, step)) === whole);
    });

    test('a header may have a name, a comment, extra bytes and a checksum', async () => {
      const [head, body] = [gzipSync('data').subarray(0, 10), gzipSync('data').subarray(10)];
      head[3] = 0b11100;
      const fields = Buffer.concat([Buffer.from([3, 0, 1, 2, 3]), Buffer.from('name\0comment\0')]);
      for (const step of [1, 2, 1000])
        assert.equal(await read(Buffer.concat([head, fields, body]), step), 'data');
    });

    test('estargz is a gzip whose members are files, with a footer that says where its index is', async () => {
      const extra = Buffer.from('SG\x16\0' + '0000000000001000STARGZ', 'latin1');
      const footer = Buffer.concat([
        Buffer.from([0x1f, 0x8b, 8, 4, 0, 0, 0, 0, 0, 0xff, extra.length, 0]),
        extra,
        Buffer.from([1, 0, 0, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 0]),
      ]);
      assert.equal(footer.length, 51);
      const files = ['file one', 'file two', 'stargz.index.json'].map((text) => gzipSync(text, { level: 9 }));
      const bytes = Buffer.concat([...files, footer]);
      for (const step of [1, 13, 1000])
        assert.equal(await read(bytes, step), 'file onefile twostargz.index.json');
    });

    test('is refused when cut, changed or followed by something else', async () => {
      const bytes = gzipSync(text);
      for (const length of [0, 1, 9, 10, 11, 1000, bytes.length - 9, bytes.length - 8, bytes.length - 1])
        for (const step of [9973, 1 << 20]) await refused(bytes.subarray(0, length), step);
      for (const at of [0, 2, 200, bytes.length - 8, bytes.length - 4, bytes.length - 1]) {
        const changed = Buffer.from(bytes);
        changed[at] = (changed[at] ?? 0) ^ 0x55;
        await refused(changed);
      }
      for (const tail of ['x', 'garbage!', '\x1f', '\x1f\x8b', '\x1f\x8bxxxxxxxxxxxxxxxxxxxx'])
        await refused(Buffer.concat([bytes, Buffer.from(tail, 'latin1')]));
      assert.ok((await read(Buffer.concat([bytes, Buffer.alloc(70_000)]), 1000)) === text.toString('latin1'));
    });

    test('can be left in the middle', async () => {
      for await (const _ of decompress(inSteps(gzipSync(text), 1000), gzipType, undefined, { libraries }))
        break;
    });
  });

test('members and frames are read one after the other, in chunks of any size', async () => {
  const gzip = Buffer.concat([gzipSync('one'), gzipSync(''), gzipSync('two'), Buffer.alloc(20)]);
  const zstd = Buffer.concat([
    skippable,
    zstdCompressSync('one'),
    skippable,
    skippable,
    zstdCompressSync('two'),
  ]);
  for (const step of [1, 3, 1000]) {
    assert.equal(await inflated(gzip, gzipType, step), 'onetwo');
    assert.equal(await inflated(zstd, zstdType, step), 'onetwo');
  }
});

test('zstd:chunked is zstd with its index in skippable frames behind the data', async () => {
  const index = Buffer.concat([Buffer.from('502a4d1810000000', 'hex'), Buffer.alloc(16, 'i')]);
  const footer = Buffer.concat([
    Buffer.from('502a4d1840000000', 'hex'),
    Buffer.alloc(56, 1),
    Buffer.from('GNUlInUx'),
  ]);
  const bytes = Buffer.concat([zstdCompressSync('file one'), zstdCompressSync('file two'), index, footer]);
  for (const step of [1, 13, 1000]) assert.equal(await inflated(bytes, zstdType, step), 'file onefile two');
});

test('a flood of skippable frames or empty members comes to nothing', async () => {
  const frames = Buffer.concat([zstdCompressSync('x'), ...Array.from({ length: 20_000 }, () => skippable)]);
  assert.equal(await inflated(frames, zstdType), 'x');
  const members = Buffer.concat(Array.from({ length: 5000 }, () => gzipSync('')));
  assert.equal(await inflated(members, gzipType), '');
});

test('security.md §1.7, bombs: windows above 128 MiB (zstd --long=31) are refused', async () => {
  // Frame header: magic, descriptor without single segment, window descriptor of 2 GiB.
  const frame = Buffer.from('28b52ffd00a801000000', 'hex');
  await assert.rejects(inflated(frame, zstdType), (error) => isKind(error, 'invalid_argument'));
});

test('the budget holds at the byte', async () => {
  const bytes = gzipSync(Buffer.alloc(1000, 'a'));
  const limits = (uncompressedBytes: number) => ({ ...defaultLayerLimits, uncompressedBytes });
  assert.equal((await inflated(bytes, gzipType, 100, limits(1000))).length, 1000);
  await assert.rejects(inflated(bytes, gzipType, 100, limits(999)), (error) =>
    isKind(error, 'resource_exhausted'),
  );
});

test('an error of the source comes through as it is', async () => {
  const failing = async function* (): AsyncGenerator<Buffer> {
    yield gzipSync('data').subarray(0, 12);
    throw new RangeError('source broke');
  };
  const read = async () => {
    for await (const _ of decompress(failing(), gzipType));
  };
  await assert.rejects(read(), RangeError);
});

test('igzip and zlib agree on members, whole and damaged', async () => {
  const part = fc.tuple(fc.integer({ min: 0, max: 5000 }), fc.nat(1000), fc.constantFrom(0, 1, 6));
  const damage = fc.option(
    fc.record({ at: fc.nat(), to: fc.integer({ min: 1, max: 255 }), cut: fc.boolean() }),
  );
  const property = fc.asyncProperty(fc.array(part, { maxLength: 4 }), damage, async (parts, how) => {
    const members = parts.map(([length, seed, level]) => gzipSync(random(length, seed), { level }));
    const whole = Buffer.concat([gzipSync('first'), ...members]);
    const at = how === null ? 0 : how.at % whole.length;
    // A member's time and system are nobody's business, and of its flags zlib reads more than igzip.
    if (how && !how.cut && (at < 10 || !isInside(members, at))) return;
    if (how && !how.cut) whole[at] = (whole[at] ?? 0) ^ how.to;
    const bytes = how?.cut ? whole.subarray(0, at) : whole;
    const [igzip, zlib] = await Promise.all(
      [true, false].map((libraries) =>
        inflated(bytes, gzipType, 777, defaultLayerLimits, libraries).catch(() => 'refused'),
      ),
    );
    assert.equal(igzip, zlib);
  });
  await fc.assert(property, { numRuns: 300 });
});

test('zstd without a stream reads frames as with one, in chunks of any size, and refuses what ends within one', async () => {
  const part = fc.tuple(fc.integer({ min: 0, max: 300_000 }), fc.nat(1000), fc.boolean());
  const arbitrary = fc.record({
    parts: fc.array(part, { maxLength: 4 }),
    cut: fc.option(fc.nat()),
    step: fc.constantFrom(100, 7777, 1 << 20),
  });
  const property = fc.asyncProperty(arbitrary, async ({ parts, cut, step }) => {
    const more = parts.map(([length, seed, skips]) =>
      skips ? skippable : zstdCompressSync(random(length, seed)),
    );
    const frames = [zstdCompressSync('first'), ...more];
    const ends = frames.map((_, i) => Buffer.concat(frames.slice(0, i + 1)).length);
    const whole = Buffer.concat(frames);
    const bytes = cut === null ? whole : whole.subarray(0, 1 + (cut % whole.length));
    const read = (libraries: boolean) => inflated(bytes, zstdType, step, defaultLayerLimits, libraries);
    if (ends.includes(bytes.length)) assert.ok((await read(true)) === (await read(false)));
    else await assert.rejects(read(true), (error) => isKind(error, 'invalid_argument'));
  });
  await fc.assert(property, { numRuns: 150 });
});

test('a zstd layer that is damaged is refused, and can be left in the middle', async () => {
  const bytes = zstdCompressSync(random(3_000_000, 5), { params: { [constants.ZSTD_c_checksumFlag]: 1 } });
  for await (const _ of decompress(inSteps(bytes, 1000), zstdType)) break;
  bytes.fill(0xff, 2000, 2400);
  await assert.rejects(inflated(bytes, zstdType), (error) => isKind(error, 'invalid_argument'));
});

/** Is this byte of the whole not in a member's header? */
function isInside(members: readonly Buffer[], at: number): boolean {
  let start = gzipSync('first').length;
  if (at < start) return at >= 10;
  for (const member of members) {
    if (at < start + member.length) return at >= start + 10;
    start += member.length;
  }
  return false;
}

test('a source whose first bytes are refused is closed', async () => {
  let open = 0;
  async function* source(): AsyncGenerator<Buffer> {
    open++;
    try {
      for (;;) yield Buffer.from('no gzip');
    } finally {
      open--;
    }
  }
  await assert.rejects(decompress(source(), gzipType).next(), { kind: 'invalid_argument' });
  assert.equal(open, 0);
});

test('a layer comes out the same, whoever has time to inflate it', async () => {
  const text = random(3_500_000, 6);
  const kinds = [
    [gzipType, gzipSync(text)],
    [zstdType, zstdCompressSync(text)],
  ] as const;
  for (const [mediaType, bytes] of kinds) {
    let asked = 0;
    const ways = [() => true, () => false, () => asked++ % 2 === 0, () => asked++ % 3 === 0];
    for (const spare of ways) {
      const chunks: Buffer[] = [];
      for await (const chunk of decompress(inSteps(bytes, 9973), mediaType, undefined, { spare }))
        chunks.push(Buffer.from(chunk));
      assert.ok(Buffer.concat(chunks).equals(text), mediaType);
    }
    assert.ok(asked > 8, 'asked before each piece');
  }
});

test('a layer that breaks while the caller is busy with what came before fails when the rest is asked for', async () => {
  const bytes = gzipSync(random(6_000_000, 7));
  bytes.fill(0xff, bytes.length / 2, bytes.length / 2 + 900);
  const read = async () => {
    for await (const _ of decompress(inSteps(bytes, bytes.length), gzipType)) await readahead();
  };
  await assert.rejects(read(), (error) => isKind(error, 'invalid_argument'));
});

/** Until the piece after this one has been worked on elsewhere, and what became of it has been looked at. */
async function readahead(): Promise<void> {
  for (let turn = 0; turn < 4; turn++) await promisify(inflate)(deflateSync(Buffer.alloc(8 << 20)));
}

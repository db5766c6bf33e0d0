import assert from 'node:assert/strict';
import { globSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import {
  create,
  createFileRegistry,
  type DescField,
  type DescMessage,
  fromBinary,
  ScalarType,
  toBinary,
} from '@bufbuild/protobuf';
import {
  FileDescriptorProtoSchema,
  FileDescriptorSetSchema,
  FieldDescriptorProto_Label as Label,
  TimestampSchema,
} from '@bufbuild/protobuf/wkt';
import { Random } from '../../test/chaos/random.ts';
import { ContainerSchema } from '../gen/containerd/services/containers/v1/containers_pb.ts';
import { messageEncoder } from './message-encoder.ts';

type Init = Record<string, unknown>;

const types = Object.values(ScalarType).filter((type) => typeof type === 'number');

/** A message with a field of every type there is, alone, repeated and as a map's value. */
function everyType(): DescMessage {
  const fields = types.flatMap((type) => [
    { name: `one${type}`, number: type, type: Number(type), label: Label.OPTIONAL },
    { name: `many${type}`, number: type + 1000, type: Number(type), label: Label.REPEATED },
  ]);
  const file = create(FileDescriptorProtoSchema, {
    name: 'every.proto',
    syntax: 'proto3',
    messageType: [{ name: 'Every', field: fields }],
  });
  const found = createFileRegistry(create(FileDescriptorSetSchema, { file: [file] })).getMessage('Every');
  assert.ok(found);
  return found;
}

async function served(): Promise<DescMessage[]> {
  const top = join(import.meta.dirname, '../gen');
  const modules: object[] = await Promise.all(
    globSync('**/*_pb.ts', { cwd: top }).map((path) => import(join(top, path))),
  );
  return modules.flatMap((module) => Object.values(module).filter((it) => it?.kind === 'message'));
}

/** Plain objects that stand for messages, filled by chance. */
class Maker {
  readonly #random: Random;

  constructor(seed: number) {
    this.#random = new Random(seed);
  }

  init(desc: DescMessage, depth = 0): Init {
    const out: Init = {};
    for (const field of desc.fields) {
      if (this.#random.next() < 0.3) continue;
      const value = this.#field(field, depth);
      if (value === undefined) continue;
      if (field.oneof === undefined) out[field.localName] = value;
      else out[field.oneof.localName] = { case: field.localName, value };
    }
    return out;
  }

  #field(field: DescField, depth: number): unknown {
    if (field.message !== undefined && depth > 2) return undefined;
    const one = () =>
      field.message === undefined
        ? this.#scalar(field.scalar ?? ScalarType.INT32)
        : this.init(field.message, depth + 1);
    if (field.fieldKind === 'list') return this.#some(one);
    if (field.fieldKind !== 'map') return one();
    return Object.fromEntries(this.#some(() => [String(this.#scalar(field.mapKey)), one()] as const));
  }

  #some<T>(one: () => T): T[] {
    return Array.from({ length: this.#random.pick([0, 1, 2, 9]) }, one);
  }

  #scalar(type: ScalarType): unknown {
    const size = this.#random.pick([0, 1, 31, 32, 33, 127, 128, 511, 512, 1000]);
    if (type === ScalarType.STRING)
      return this.#random.pick(['a', 'é', '\u{1f600}', '\ud800', '\0']).repeat(size);
    if (type === ScalarType.BYTES) return new Uint8Array(size).fill(size);
    if (type === ScalarType.BOOL) return this.#random.next() < 0.5;
    if (type === ScalarType.DOUBLE)
      return this.#random.pick([0, -0, 1.5, Number.NaN, Number.NEGATIVE_INFINITY]);
    if (type === ScalarType.FLOAT)
      return this.#random.pick([0, -0, 1.5, Number.NaN, Number.NEGATIVE_INFINITY]);
    const unsigned = [ScalarType.UINT32, ScalarType.UINT64, ScalarType.FIXED32, ScalarType.FIXED64];
    const low = unsigned.includes(type) ? 0 : -1;
    if (!wide.includes(type)) return this.#random.pick([0, 1, 127, 128, 2 ** 31 - 1, 65_536 * low]);
    return this.#random.pick([0n, 1n, 127n, 128n, 2n ** 31n, 2n ** 53n, 2n ** 62n, BigInt(low) * 2n ** 63n]);
  }
}

const wide = [
  ScalarType.INT64,
  ScalarType.UINT64,
  ScalarType.SINT64,
  ScalarType.FIXED64,
  ScalarType.SFIXED64,
];

describe('messages', () => {
  it('are written byte for byte as protobuf-es does, every type and every message there is', async () => {
    const all = [everyType(), ...(await served())];
    assert.ok(all.length > 400);
    for (const [index, desc] of all.entries()) {
      const encode = messageEncoder(desc);
      for (let round = 0; round < 2; round++) {
        const init = new Maker(index * 100 + round).init(desc);
        const message = create(desc, init);
        const expected = toBinary(desc, message);
        const same = encode(init, 0).equals(expected) && encode(message, 0).equals(expected);
        assert.ok(same, `${desc.typeName}, seed ${index * 100 + round}`);
      }
    }
  });

  it('keep the fields that nobody here knows', () => {
    const long = new Uint8Array(4000).fill(5);
    const known = { labels: { a: 'b' }, spec: { typeUrl: 't', value: long } };
    const bytes = Buffer.concat([
      toBinary(ContainerSchema, create(ContainerSchema, { id: 'c', ...known })),
      Buffer.from([0xfa, 0x3f, 2, 104, 105, 0x80, 0x40, 1]),
    ]);
    const encode = messageEncoder(ContainerSchema);
    assert.ok(encode(fromBinary(ContainerSchema, bytes), 0).equals(bytes));
  });

  it('stand behind the room asked for, and nothing of one is in the next', () => {
    const encode = messageEncoder(ContainerSchema);
    const first = encode({ id: 'x'.repeat(100_000) }, 5);
    const kept = Buffer.from(first);
    const labels = Object.fromEntries(
      Array.from({ length: 5000 }, (_, n) => [`label.${n}`, 'é'.repeat(n % 50)]),
    );
    const many = create(ContainerSchema, { labels });
    assert.ok(encode(many, 0).equals(toBinary(ContainerSchema, many)));
    const second = encode({ id: 'c' }, 5);
    assert.deepEqual(second.subarray(5), Buffer.from([0x0a, 1, 99]));
    assert.deepEqual(first, kept);
  });

  it('are refused with the name of the field that cannot hold its value, and the next is whole', () => {
    const encode = messageEncoder(TimestampSchema);
    for (const nanos of [1.5, 2 ** 31, -(2 ** 31) - 1, Number.NaN])
      assert.throws(
        () => encode({ nanos }, 0),
        /field google\.protobuf\.Timestamp\.nanos to binary: invalid int32/,
      );
    assert.throws(() => encode({ seconds: 2n ** 63n }, 0), /Timestamp\.seconds/);
    assert.throws(() => messageEncoder(ContainerSchema)({ labels: { a: 1 } }, 0), /Container\.labels/);
    assert.deepEqual(encode({ seconds: 1n }, 0), Buffer.from([8, 1]));
  });
});

import { create, toBinary } from '@bufbuild/protobuf';
import { BinaryWriter, WireType } from '@bufbuild/protobuf/wire';
import { timestampFromDate } from '@bufbuild/protobuf/wkt';
import { ContainerSchema } from '../gen/containerd/services/containers/v1/containers_pb.ts';
import type { Any } from '../oci/any.ts';
import type { Container } from './container-store.ts';

/** Numbers of the fields that are written by hand; all answers with containers hold them in their field 1. */
const [answerContainer, containerSpec, anyTypeUrl, anyValue] = [1, 5, 1, 2];

/**
 * A container as field 1 of an answer, up to the bytes of its spec: `wireHead` and `spec.value` one behind the other are an answer
 * to Get, and those of several containers in a row are one to List (decisions/0037). Fields have no order on the wire, so the
 * spec, most of a container, can come last, and is stored once.
 */
export function wireHead(container: Container): Uint8Array {
  const fields = toBinary(ContainerSchema, create(ContainerSchema, withoutSpec(container)));
  const spec = container.spec && specHead(container.spec);
  const length = fields.length + (spec?.length ?? 0) + (container.spec?.value.length ?? 0);
  const head = new BinaryWriter().tag(answerContainer, WireType.LengthDelimited).uint32(length).raw(fields);
  return (spec === undefined ? head : head.raw(spec)).finish();
}

/** A whole container as field 1 of an answer. */
export const wireOf = (container: Container): Uint8Array =>
  joinWire(wireHead(container), container.spec?.value);

/** The same of what is stored. */
export function joinWire(head: Uint8Array, spec: Uint8Array | null | undefined): Uint8Array {
  if (!spec?.length) return head;
  // Not out of the pool of small buffers: it may be held for long.
  const whole = Buffer.allocUnsafeSlow(head.length + spec.length);
  whole.set(head);
  whole.set(spec, head.length);
  return whole;
}

function specHead({ typeUrl, value }: Any): Uint8Array {
  const any = new BinaryWriter();
  if (typeUrl !== '') any.tag(anyTypeUrl, WireType.LengthDelimited).string(typeUrl);
  if (value.length > 0) any.tag(anyValue, WireType.LengthDelimited).uint32(value.length);
  const head = any.finish();
  return new BinaryWriter()
    .tag(containerSpec, WireType.LengthDelimited)
    .uint32(head.length + value.length)
    .raw(head)
    .finish();
}

const withoutSpec = (container: Container) => ({
  id: container.id,
  labels: { ...container.labels },
  image: container.image,
  runtime: {
    name: container.runtime.name,
    ...(container.runtime.options && { options: toAny(container.runtime.options) }),
  },
  snapshotter: container.snapshotter,
  snapshotKey: container.snapshotKey,
  createdAt: timestampFromDate(container.createdAt),
  updatedAt: timestampFromDate(container.updatedAt),
  extensions: Object.fromEntries(Object.entries(container.extensions).map(([key, any]) => [key, toAny(any)])),
  sandbox: container.sandboxId,
});

const toAny = ({ typeUrl, value }: Any) => ({ typeUrl, value: value as Uint8Array<ArrayBuffer> });

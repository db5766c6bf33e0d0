import {
  createRegistry,
  type DescField,
  type DescMessage,
  fromBinary,
  type Message,
} from '@bufbuild/protobuf';
import { reflect } from '@bufbuild/protobuf/reflect';
import type { Any } from '../oci/any.ts';
import type { Envelope } from './events.ts';
import type { Adapt } from './filters.ts';
import { eventTable } from './topics.ts';

const registry = createRegistry(...Object.values(eventTable).map(([, schema]) => schema));

/**
 * The fields of an envelope that filters can name: `namespace`, `topic`, and `event.<field>` by names of the .proto
 * (`event.container_id`, `event.labels.a.b`). Text only, as in containerd; empty text counts as not present. The event
 * is decoded at most once, and only when asked for.
 */
export function envelopeFields(envelope: Envelope): Adapt {
  let decoded: Decoded | null | undefined;
  return ([first, ...rest]) => {
    if (first === 'namespace') return envelope.namespace || undefined;
    if (first === 'topic') return envelope.topic || undefined;
    if (first !== 'event') return undefined;
    if (decoded === undefined) decoded = decode(envelope.event) ?? null;
    return decoded === null ? undefined : fieldOf(decoded.desc, decoded.message, rest);
  };
}

interface Decoded {
  readonly desc: DescMessage;
  readonly message: Message;
}

function decode({ typeUrl, value }: Any): Decoded | undefined {
  const desc = registry.getMessage(typeUrl.slice(typeUrl.lastIndexOf('/') + 1));
  if (desc === undefined) return undefined;
  try {
    return { desc, message: fromBinary(desc, value) };
  } catch {
    return undefined; // somebody else's bytes: they travel on, no filter matches them
  }
}

function fieldOf(
  desc: DescMessage,
  message: Message,
  [name, ...rest]: readonly string[],
): string | undefined {
  const field = desc.fields.find((candidate) => candidate.name === name);
  if (field === undefined) return undefined;
  const value = reflect(desc, message).get(field);
  return textOf(field, value, rest);
}

function textOf(field: DescField, value: unknown, rest: readonly string[]): string | undefined {
  if (field.fieldKind === 'scalar') return typeof value === 'string' && value !== '' ? value : undefined;
  if (field.fieldKind === 'map') {
    const entry = (value as { get(key: string): unknown }).get(rest.join('.'));
    return typeof entry === 'string' ? entry : undefined;
  }
  if (field.fieldKind !== 'message' || value === undefined) return undefined;
  const inner = value as { desc: DescMessage; message: Message };
  return fieldOf(inner.desc, inner.message, rest);
}

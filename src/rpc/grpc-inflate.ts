import { promisify } from 'node:util';
import zlib from 'node:zlib';
import { codeOf, internal, messageOf, resourceExhausted } from '../errors/error.ts';
import { maxMessageBytes } from './codec.ts';
import type { Encoding, ReceivedMessage } from './grpc-frame.ts';

const inflaters = { gzip: promisify(zlib.gunzip), deflate: promisify(zlib.inflate) } as const;

/** The message itself, inflated to at most 16 MiB. @throws resource_exhausted (larger), internal (broken, or not said how) */
export async function inflate({ bytes }: ReceivedMessage, encoding: Encoding): Promise<Buffer> {
  if (encoding === 'identity') throw internal('grpc: compressed flag set with identity or empty encoding');
  try {
    return await inflaters[encoding](bytes, { maxOutputLength: maxMessageBytes });
  } catch (error) {
    if (codeOf(error) === 'ERR_BUFFER_TOO_LARGE')
      throw resourceExhausted(
        `grpc: message after decompression larger than max (${maxMessageBytes})`,
        error,
      );
    throw internal(`grpc: failed to decompress the received message: ${messageOf(error)}`, error);
  }
}

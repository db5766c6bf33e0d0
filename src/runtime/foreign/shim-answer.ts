import { fromBinary } from '@bufbuild/protobuf';
import { notImplemented, unknown } from '../../errors/error.ts';
import { BootstrapResultSchema } from '../../gen/containerd/runtime/bootstrap/v1/bootstrap_pb.ts';
import { printable } from './run-program.ts';

/** Where a shim serves, and which version of the task API: 2 or 3. */
export interface ShimEndpoint {
  readonly version: 2 | 3;
  /** Path of a unix socket. */
  readonly path: string;
  /** What is spoken there; absent: ttrpc. */
  readonly protocol?: 'grpc';
}

interface Answer {
  readonly version: number;
  readonly address: string;
  readonly protocol: string;
}

/** Longest path that fits a socket address. */
const maxPathBytes = 107;

/**
 * Reads what `start` prints: BootstrapResult as protobuf (containerd 2.3), JSON (1.7 to 2.2), or a bare address (before).
 * @throws unknown (none of these), not_implemented (a protocol, address or version that is not spoken here)
 */
export function parseShimAnswer(output: Uint8Array): ShimEndpoint {
  const answer = jsonAnswer(output) ?? bareAddress(output) ?? protobufAnswer(output);
  if (answer === undefined)
    throw unknown(`shim printed no address: ${JSON.stringify(printable(output, 200))}`);
  return endpointOf(answer);
}

function endpointOf({ version, address, protocol }: Answer): ShimEndpoint {
  if (version !== 2 && version !== 3) throw notImplemented(`unsupported shim version (${version})`);
  const spoken = protocol.toLowerCase();
  if (spoken !== 'ttrpc' && spoken !== 'grpc')
    throw notImplemented(`shim speaks ${JSON.stringify(protocol)}, neither ttrpc nor grpc`);
  // As containerd: no shim ever served the older version over gRPC.
  if (spoken === 'grpc' && version !== 3)
    throw notImplemented(`unsupported shim version (${version}) over grpc`);
  const path = /^unix:\/\/(\/.+)$/.exec(address)?.[1];
  if (path === undefined) throw notImplemented(`shim address ${JSON.stringify(address)} is no unix:// path`);
  if (path.includes('\0') || Buffer.byteLength(path) > maxPathBytes)
    throw unknown(`shim address ${JSON.stringify(address.slice(0, 200))} is no path of a socket`);
  return spoken === 'grpc' ? { version, path, protocol: spoken } : { version, path };
}

function jsonAnswer(output: Uint8Array): Answer | undefined {
  const text = Buffer.from(output).toString().trim();
  if (!text.startsWith('{')) return undefined;
  try {
    const { version, address, protocol } = JSON.parse(text) as Record<string, unknown>;
    if (typeof version !== 'number' || typeof address !== 'string') return undefined;
    return { version, address, protocol: typeof protocol === 'string' ? protocol : '' };
  } catch {
    return undefined;
  }
}

function bareAddress(output: Uint8Array): Answer | undefined {
  const text = Buffer.from(output).toString().trim();
  return /^[a-z]+:\/\/[^\s\p{Cc}]+$/u.test(text)
    ? { version: 2, address: text, protocol: 'ttrpc' }
    : undefined;
}

function protobufAnswer(output: Uint8Array): Answer | undefined {
  try {
    const { version, address, protocol } = fromBinary(BootstrapResultSchema, output);
    return address === '' ? undefined : { version, address, protocol };
  } catch {
    return undefined;
  }
}

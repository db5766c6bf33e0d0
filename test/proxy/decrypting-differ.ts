import { execFileSync } from 'node:child_process';
import { createDecipheriv } from 'node:crypto';
import { gunzipSync } from 'node:zlib';
import { Connection } from '../../src/client/connection.ts';
import { remoteContent } from '../../src/client/content.ts';
import { notImplemented } from '../../src/errors/error.ts';
import { GrpcServer } from '../../src/rpc/grpc-server.ts';
import { listenUnix } from '../../src/rpc/unix-listener.ts';
import { diffService } from '../../src/services/diff.ts';
import { withTempMount } from '../../src/sys/temp-mount.ts';
import type { Differ } from '../../src/transfer/differ.ts';
import { digestOf } from '../kit/flaky-registry.ts';

/**
 * A differ in a process of its own that applies encrypted layers: it reads the blob from the daemon, takes AES-256-CTR and
 * gzip off it and lets GNU tar unpack it where the mounts are. Usage: decrypting-differ.ts SOCKET DAEMON KEY-HEX
 */
const [socket = '', address = '', key = ''] = process.argv.slice(2);

const differ: Differ = {
  async apply(ctx, { layer, mounts }) {
    if (!layer.mediaType.endsWith('+encrypted')) throw notImplemented(`media type ${layer.mediaType}`);
    using daemon = new Connection({ address, namespace: ctx.namespace ?? '', timeoutMs: 10_000 });
    await using reader = await remoteContent(daemon).reader(ctx, layer.digest);
    const sealed = await reader.bytes(1 << 24);
    const decipher = createDecipheriv('aes-256-ctr', Buffer.from(key, 'hex'), Buffer.alloc(16));
    const tar = gunzipSync(Buffer.concat([decipher.update(sealed), decipher.final()]));
    await withTempMount(mounts, async (path) => {
      execFileSync('tar', ['-x', '-C', path], { input: tar });
    });
    const mediaType = 'application/vnd.oci.image.layer.v1.tar';
    return { mediaType, digest: digestOf(tar), size: tar.length };
  },
  async compare() {
    throw notImplemented('differences');
  },
};

const server = new GrpcServer([diffService(differ)]);
await listenUnix(socket, (connection) => server.accept(connection));

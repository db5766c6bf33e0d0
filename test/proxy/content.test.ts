import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { silentLog } from '../../src/async/context.ts';
import { Connection } from '../../src/client/connection.ts';
import { remoteContent } from '../../src/client/content.ts';
import { contentStoreSuite } from '../../src/content/content-store.suite.ts';
import { proxyBlobs } from '../../src/content/proxy/proxy-blobs.ts';
import { MetadataSubject } from '../../src/metadata/subject.suite.ts';
import { GrpcServer } from '../../src/rpc/grpc-server.ts';
import { listenUnix } from '../../src/rpc/unix-listener.ts';
import { contentService } from '../../src/services/content.ts';

/** Records here over bytes in a store behind a socket. */
contentStoreSuite('B-4: content whose bytes are in a proxy', async () => {
  const stack = new AsyncDisposableStack();
  const directory = await mkdtemp(join(tmpdir(), 'berth-proxy-'));
  stack.defer(() => rm(directory, { recursive: true }));
  const there = stack.use(await MetadataSubject.open());
  const server = new GrpcServer([contentService(there.metadata.content)], { log: silentLog });
  stack.defer(() => server.close(100));
  const address = join(directory, 's');
  stack.use(await listenUnix(address, (socket) => server.accept(socket), { mode: 0o600 }));
  const connection = stack.use(new Connection({ address, namespace: 'default', timeoutMs: 60_000 }));
  const blobs = proxyBlobs({ name: 'there', store: remoteContent(connection), log: silentLog });
  const subject = stack.use(await MetadataSubject.open({ blobs }));
  return {
    store: subject.metadata.content,
    context: (namespace) => subject.context(namespace),
    restart: async () => (await subject.restart()).content,
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  };
});

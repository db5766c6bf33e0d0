import { join } from 'node:path';
import { silentLog } from '../../src/async/context.ts';
import { connect } from '../../src/client/index.ts';
import { contentStoreSuite } from '../../src/content/content-store.suite.ts';
import { MetadataSubject } from '../../src/metadata/subject.suite.ts';
import { GrpcServer } from '../../src/rpc/grpc-server.ts';
import { listenUnix } from '../../src/rpc/unix-listener.ts';
import { contentService } from '../../src/services/content.ts';

/** The local store behind the Content service on a socket, seen through the client. */
contentStoreSuite('content over the wire', async () => {
  const stack = new AsyncDisposableStack();
  const subject = stack.use(await MetadataSubject.open());
  const open = async (name: string) => {
    const server = new GrpcServer([contentService(subject.metadata.content)], { log: silentLog });
    stack.defer(() => server.close(100));
    const address = join(subject.directory, name);
    stack.use(await listenUnix(address, (socket) => server.accept(socket), { mode: 0o600 }));
    return stack.use(connect({ address }));
  };
  let client = await open('1.sock');
  return {
    store: client.content,
    context: (namespace) => client.context({ namespace }),
    async restart() {
      await subject.restart();
      client = await open('2.sock');
      return client.content;
    },
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  };
});

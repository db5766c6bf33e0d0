// Asks for a blob many times at once over one connection, grants the daemon all the windows there are, and stops itself when the
// first answer begins: a client that takes nothing more from its socket.
// usage: node read-and-stop.ts SOCKET NAMESPACE DIGEST CALLS
import { connect } from 'node:http2';
import { connect as dial } from 'node:net';
import { ReadContentRequestSchema } from '../../src/gen/containerd/services/content/v1/content_pb.ts';
import { frameEncoder } from '../../src/rpc/grpc-frame.ts';

const [socket = '', namespace = '', digest = '', calls = '1'] = process.argv.slice(2);
const allBytes = 2 ** 31 - 1;
const headers = {
  ':method': 'POST',
  ':path': '/containerd.services.content.v1.Content/Read',
  'content-type': 'application/grpc',
  te: 'trailers',
  'containerd-namespace': namespace,
};
const request = Buffer.concat(frameEncoder(ReadContentRequestSchema)({ digest }));
const session = connect('http://localhost', {
  createConnection: () => dial(socket),
  settings: { initialWindowSize: allBytes },
});
session.once('connect', () => session.setLocalWindowSize(allBytes));
session.once('remoteSettings', () => {
  for (let n = 0; n < Number(calls); n++) {
    const stream = session.request(headers);
    stream.end(request);
    stream.once('response', () => process.kill(process.pid, 'SIGSTOP'));
  }
});

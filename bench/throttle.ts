import { connect, createServer, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

/** `node throttle.ts PORT TARGET BYTES`: passes connections on to TARGET on loopback, all answers together at most BYTES a second. */

const [port, target, bytesPerSecond] = process.argv.slice(2).map(Number) as [number, number, number];
let busyUntil = 0;

async function drip(from: Socket, to: Socket): Promise<void> {
  for await (const chunk of from as AsyncIterable<Buffer>) {
    const now = performance.now();
    busyUntil = Math.max(busyUntil, now) + (chunk.length * 1000) / bytesPerSecond;
    if (busyUntil - now > 5) await sleep(busyUntil - now);
    if (!to.write(chunk)) await new Promise((resolve) => to.once('drain', resolve).once('close', resolve));
  }
  to.end();
}

createServer((client) => {
  const server = connect(target, '127.0.0.1');
  for (const [socket, other] of [
    [client, server],
    [server, client],
  ] as const)
    socket.on('error', () => other.destroy());
  client.pipe(server);
  void drip(server, client).catch(() => client.destroy());
}).listen(port, '127.0.0.1', () => process.stdout.write('listening\n'));

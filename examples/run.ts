// Runs a command in a container and streams its output: node examples/run.ts busybox echo hello
// In a project of your own: import { connect } from 'berth/client';
import { Writable } from 'node:stream';
import { connect, defaultAddress } from '../src/client/index.ts';

const [image = 'busybox', ...args] = process.argv.slice(2);
using berth = connect({ address: process.env.BERTH_ADDRESS ?? defaultAddress });

await berth.images.pull(image).image();
const container = await berth.containers.create({ image, args });
try {
  using task = await berth.tasks.create(container.id, { stdout: true, stderr: true });
  const ended = task.wait();
  await task.start();
  await Promise.all([
    task.stdout?.pipeTo(Writable.toWeb(process.stdout), { preventClose: true }),
    task.stderr?.pipeTo(Writable.toWeb(process.stderr), { preventClose: true }),
  ]);
  process.exitCode = (await ended).code;
} finally {
  await berth.containers.remove(container.id, { force: true });
}

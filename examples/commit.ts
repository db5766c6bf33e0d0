// Makes an image by running a command in another: node examples/commit.ts busybox notes 'echo hello >/hello'
// In a project of your own: import { connect } from 'berth/client';
import { connect, defaultAddress } from '../src/client/index.ts';

const [from = 'busybox', to = 'notes', command = 'echo hello >/hello'] = process.argv.slice(2);
using berth = connect({ address: process.env.BERTH_ADDRESS ?? defaultAddress });

await berth.images.pull(from).image();
const { id } = await berth.containers.create({ image: from, args: ['sh', '-c', command] });
try {
  using task = await berth.tasks.create(id);
  const ended = task.wait();
  await task.start();
  const { code } = await ended;
  if (code !== 0) throw new Error(`${command} ended with ${code}`);
  const image = await berth.images.commit(id, to, { changes: ['CMD ["cat", "/hello"]'] });
  console.log(`${image.name} is ${image.target.digest}`);
} finally {
  await berth.containers.remove(id, { force: true });
}

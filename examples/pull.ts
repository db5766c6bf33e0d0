// Pulls an image and shows how far it is: node examples/pull.ts redis:7
// In a project of your own: import { connect } from 'berth/client';
import { connect, defaultAddress } from '../src/client/index.ts';

const [reference = 'docker.io/library/busybox:latest'] = process.argv.slice(2);
using berth = connect({ address: process.env.BERTH_ADDRESS ?? defaultAddress });

const pull = berth.images.pull(reference);
for await (const { name, event, doneBytes, totalBytes } of pull) {
  const percent = totalBytes > 0 ? ` ${Math.round((100 * doneBytes) / totalBytes)}%` : '';
  console.log(`${name} ${event}${percent}`);
}
const image = await pull.image();
console.log(`${image.name} is ${image.target.digest}`);

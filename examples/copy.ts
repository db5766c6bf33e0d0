// Copies a directory into a container and out again, as archives: node examples/copy.ts CONTAINER /etc /tmp etc.tar
// In a project of your own: import { connect } from 'berth/client';
import { createWriteStream } from 'node:fs';
import { pipeline } from 'node:stream/promises';
import { connect, defaultAddress } from '../src/client/index.ts';

const [container = '', from = '/etc', to = '/tmp', file = 'out.tar'] = process.argv.slice(2);
using berth = connect({ address: process.env.BERTH_ADDRESS ?? defaultAddress });

// Inside the container: what is read is a tar, what is written too.
const archive = berth.containers.copyFrom(container, from);
await berth.containers.copyTo(container, to, archive, { preserveOwnership: true });
// Out of it, into a file here.
await pipeline(berth.containers.copyFrom(container, to), createWriteStream(file));
console.log(`${container}:${to} is in ${file}`);

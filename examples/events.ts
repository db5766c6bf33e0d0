// Watches what happens to images and containers until Ctrl-C, and can go on where it stopped: node examples/events.ts [CURSOR]
// In a project of your own: import { connect } from 'berth/client';
import { connect, decodeEvent, defaultAddress } from '../src/client/index.ts';

using berth = connect({ address: process.env.BERTH_ADDRESS ?? defaultAddress });
const stop = new AbortController();
process.once('SIGINT', () => stop.abort());

let cursor = process.argv[2] ?? '';
for await (const followed of berth.events.follow({ cursor, signal: stop.signal })) {
  const { timestamp, namespace, topic, event } = followed;
  console.log(timestamp.toISOString(), namespace, topic, JSON.stringify(decodeEvent(event)));
  cursor = followed.cursor;
}
console.log(`to go on: node examples/events.ts ${cursor}`);

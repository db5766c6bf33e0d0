// Watches what happens to images and containers until Ctrl-C: node examples/events.ts
// In a project of your own: import { connect } from 'berth/client';
import { connect, decodeEvent, defaultAddress } from '../src/client/index.ts';

using berth = connect({ address: process.env.BERTH_ADDRESS ?? defaultAddress });
const stop = new AbortController();
process.once('SIGINT', () => stop.abort());

for await (const envelope of berth.events.subscribe({ signal: stop.signal })) {
  const { timestamp, namespace, topic, event } = envelope;
  console.log(timestamp.toISOString(), namespace, topic, JSON.stringify(decodeEvent(event)));
}

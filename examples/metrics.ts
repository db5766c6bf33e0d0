// Shows every second what running containers use, until Ctrl-C: node examples/metrics.ts
// In a project of your own: import { connect } from 'berth/client';
import { setInterval } from 'node:timers/promises';
import { connect, defaultAddress, type TaskStats } from '../src/client/index.ts';

using berth = connect({ address: process.env.BERTH_ADDRESS ?? defaultAddress });
const stop = new AbortController();
process.once('SIGINT', () => stop.abort());

let before = new Map<string, TaskStats>();
try {
  for await (const _ of setInterval(1000, undefined, { signal: stop.signal })) {
    const now = await berth.tasks.stats();
    for (const { containerId, time, cpuNanoseconds, memoryBytes, pids } of now) {
      const last = before.get(containerId);
      if (last === undefined) continue;
      const spanNs = (time.getTime() - last.time.getTime()) * 1e6;
      const cpu = (100 * Number(cpuNanoseconds - last.cpuNanoseconds)) / spanNs;
      console.log(`${containerId} ${cpu.toFixed(1)}% CPU ${memoryBytes} bytes ${pids} processes`);
    }
    before = new Map(now.map((stats) => [stats.containerId, stats]));
  }
} catch (error) {
  if (!stop.signal.aborted) throw error;
}

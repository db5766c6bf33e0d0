import { daemonContext, silentLog } from '../../src/async/context.ts';
import { EventExchange } from '../../src/events/exchange.ts';
import { Tasks } from '../../src/runtime/tasks.ts';

// A daemon's side in a process of its own, to be killed: waits for a task and prints what it learns.
const [stateDir = '', id = ''] = process.argv.slice(2);
const tasks = new Tasks({ stateDir, events: new EventExchange(), log: silentLog });
const { pid, status } = await tasks.get(daemonContext(silentLog, 'test'), id);
process.stdout.write(`${pid} ${status}\n`);
await tasks.wait(daemonContext(silentLog, 'test'), id);

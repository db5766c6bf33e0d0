// A shell in a container that runs, on your terminal: node examples/shell.ts CONTAINER [COMMAND…]
// In a project of your own: import { connect } from 'berth/client';
import { Readable, Writable } from 'node:stream';
import { connect, defaultAddress } from '../src/client/index.ts';

const [container = '', ...command] = process.argv.slice(2);
using berth = connect({ address: process.env.BERTH_ADDRESS ?? defaultAddress });
const { stdin, stdout } = process;

using shell = await berth.tasks.exec(container, {
  args: command.length > 0 ? command : ['sh'],
  terminal: stdin.isTTY,
  stdin: true,
  stdout: true,
});
const ended = shell.wait();
await shell.start();
if (stdin.isTTY) {
  const follow = () => shell.resize(stdout.columns, stdout.rows);
  stdout.on('resize', follow);
  await follow();
  stdin.setRawMode(true);
}
Readable.toWeb(stdin)
  .pipeTo(shell.stdin as WritableStream)
  .then(() => shell.closeStdin())
  .catch(() => {}); // the shell has ended, and nobody reads any more
await shell.stdout?.pipeTo(Writable.toWeb(stdout), { preventClose: true });
process.exit((await ended).code); // raw mode ends with the process

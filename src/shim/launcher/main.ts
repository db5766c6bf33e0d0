import { readFileSync } from 'node:fs';
import { messageOf } from '../../errors/error.ts';
import { deleteTask } from './delete.ts';
import { parseFlags } from './flags.ts';
import { runtimeInfo } from './info.ts';
import { startShim } from './start.ts';

const { version } = JSON.parse(readFileSync(new URL('../../../package.json', import.meta.url), 'utf8')) as {
  version: string;
};

/** What the program prints for its flags: containerd's contract with a shim's program (runtime/v2 README). */
async function answer(): Promise<string | Uint8Array> {
  const flags = parseFlags(process.argv.slice(2));
  if (flags.action === 'version') return `containerd-shim-berth-v2:\n  Version:  ${version}\n`;
  if (flags.action === 'info') return runtimeInfo(readFileSync(0), version);
  if (flags.action === 'delete') return deleteTask(flags, process.cwd());
  return startShim(flags, process.cwd(), readFileSync(0), process.env);
}

try {
  const said = await answer();
  process.stdout.write(said, () => process.exit(0));
} catch (error) {
  process.stderr.write(`${messageOf(error)}\n`, () => process.exit(1));
}

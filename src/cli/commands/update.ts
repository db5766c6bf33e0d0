import type { Command } from 'commander';
import type { LimitChanges } from '../../client/index.ts';
import { act } from '../command.ts';
import { forEachContainer } from '../containers.ts';
import { CliError } from '../failure.ts';
import { parseCount, parseCpus, parseSize } from '../parse/size.ts';

interface Options {
  readonly memory?: string;
  readonly cpus?: string;
  readonly pidsLimit?: string;
  readonly cpuShares?: string;
  readonly cpusetCpus?: string;
}

export function define(command: Command): void {
  command
    .argument('<container...>', 'names or ids')
    .option('-m, --memory <size>', 'limit of memory, e.g. 512m, 0 for none')
    .option('--cpus <number>', 'limit of CPUs, e.g. 1.5, 0 for none')
    .option('--pids-limit <number>', 'limit of processes, 0 or -1 for none')
    .option('-c, --cpu-shares <number>', 'weight against others, 0 for the default')
    .option('--cpuset-cpus <list>', 'CPUs it may run on, e.g. 0-3,7');
  act<Options>(command, async (cli, names, options) => {
    const limits = limitsOf(options);
    if (Object.keys(limits).length === 0)
      throw new CliError('nothing to change', { hint: 'give a limit, e.g. --memory 512m' });
    const client = await cli.client();
    await forEachContainer(client, names, async ({ id }, name) => {
      await client.containers.update(id, limits);
      cli.print(`${name}\n`);
    });
  });
}

function limitsOf({ memory, cpus, pidsLimit, cpuShares, cpusetCpus }: Options): LimitChanges {
  return {
    ...(memory !== undefined && { memoryBytes: parseSize(memory) }),
    ...(cpus !== undefined && { cpuMillis: /^0*\.?0*$/.test(cpus) ? 0 : parseCpus(cpus) }),
    ...(pidsLimit !== undefined && { pidsLimit: Math.max(0, parseCount(pidsLimit, 'pids limit', -1)) }),
    ...(cpuShares !== undefined && { cpuShares: parseCount(cpuShares, 'cpu shares') }),
    ...(cpusetCpus !== undefined && { cpusetCpus }),
  };
}

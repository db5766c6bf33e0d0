import type { Command } from 'commander';
import type { BerthClient, Container, LimitChanges } from '../../client/index.ts';
import { containerLabels } from '../../oci/label-names.ts';
import { act } from '../command.ts';
import { findTask, forEachContainer } from '../containers.ts';
import { CliError } from '../failure.ts';
import { parseCount, parseCpus, parseSize } from '../parse/size.ts';
import { restartChanges, restartLabelsOf } from '../restart-labels.ts';

interface Options {
  readonly memory?: string;
  readonly cpus?: string;
  readonly pidsLimit?: string;
  readonly cpuShares?: string;
  readonly cpusetCpus?: string;
  readonly restart?: string;
}

export function define(command: Command): void {
  command
    .argument('<container...>', 'names or ids')
    .option('-m, --memory <size>', 'limit of memory, e.g. 512m, 0 for none')
    .option('--cpus <number>', 'limit of CPUs, e.g. 1.5, 0 for none')
    .option('--pids-limit <number>', 'limit of processes, 0 or -1 for none')
    .option('-c, --cpu-shares <number>', 'weight against others, 0 for the default')
    .option('--cpuset-cpus <list>', 'CPUs it may run on, e.g. 0-3,7')
    .option('--restart <policy>', 'no, always, on-failure[:times] or unless-stopped');
  act<Options>(command, async (cli, names, options) => {
    const limits = limitsOf(options);
    const { restart } = options;
    const isLimited = Object.keys(limits).length > 0;
    if (!isLimited && restart === undefined)
      throw new CliError('nothing to change', { hint: 'give a limit, e.g. --memory 512m, or --restart' });
    if (restart !== undefined) restartLabelsOf(restart); // before anything is changed
    const client = await cli.client();
    await forEachContainer(client, names, async (container, name) => {
      if (restart !== undefined) refuseRestart(container, restart);
      if (isLimited) await client.containers.update(container.id, limits);
      if (restart !== undefined) await changeRestart(client, container, restart);
      cli.print(`${name}\n`);
    });
  });
}

/** @throws CliError for one that goes when it ends */
function refuseRestart({ labels }: Container, policy: string): void {
  if (labels[containerLabels.autoRemove] === undefined || Object.keys(restartLabelsOf(policy)).length === 0)
    return;
  throw new CliError('--restart and --rm exclude each other');
}

async function changeRestart(client: BerthClient, { id }: Container, policy: string): Promise<void> {
  const task = await findTask(client, id);
  const runs = task !== undefined && task.status !== 'stopped' && task.status !== 'created';
  await client.containers.label(id, restartChanges(policy, runs));
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

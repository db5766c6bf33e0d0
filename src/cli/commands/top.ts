import type { Command } from 'commander';
import { act } from '../command.ts';
import { findContainer, findTask, notRunning } from '../containers.ts';
import { formatRows } from '../output/print.ts';
import { listProcesses, type ProcessRow } from '../process-rows.ts';

export function define(command: Command): void {
  command.argument('<container>', 'name or id');
  act(command, async (cli, [name = '']) => {
    const client = await cli.client();
    const container = await findContainer(client, name);
    const task = await findTask(client, container.id);
    if (task === undefined || task.status === 'stopped') throw notRunning(container, 1);
    const rows = await listProcesses(await client.tasks.pids(container.id));
    const column = (head: string, show: (row: ProcessRow) => string) => ({ head, show });
    const columns = [
      column('UID', (row) => String(row.UID)),
      column('PID', (row) => String(row.PID)),
      column('PPID', (row) => String(row.PPID)),
      column('STAT', (row) => row.State),
      column('TIME', (row) => row.Time),
      column('RSS', (row) => row.RSS),
      column('CMD', (row) => row.Command),
    ];
    cli.print(await formatRows(cli.globals, columns, rows));
  });
}

import type { Command } from 'commander';
import type { Resource, StorageUsage, UsageItem } from '../../client/index.ts';
import type { Cli } from '../cli.ts';
import { act } from '../command.ts';
import { type Column, formatObject, formatRows } from '../output/print.ts';
import { humanSize } from '../output/text.ts';
import { shortName } from '../resources.ts';

interface Options {
  readonly verbose?: true;
}

export function define(command: Command): void {
  command.option('-v, --verbose', 'each image, container, snapshot, blob, ingest and lease');
  act<Options>(command, df);
}

async function df(cli: Cli, _args: readonly string[], { verbose }: Options): Promise<void> {
  const usage = await (await cli.client()).storage.usage();
  const object = formatObject(cli.globals, usage);
  if (object !== undefined) return cli.print(object);
  const plain = { ...cli.globals, format: undefined };
  cli.print(
    await formatRows(
      plain,
      summaryColumns,
      kinds.map((kind) => summaryOf(kind, usage.items)),
    ),
  );
  if (verbose === true) {
    const items = usage.items.toSorted((a, b) => order(a) - order(b) || b.bytes - a.bytes);
    cli.print(`\n${await formatRows(plain, itemColumns, items)}`);
  }
  cli.print(`\n${await formatRows(plain, diskColumns, diskRows(usage))}`);
}

const kinds: readonly Resource['kind'][] = ['image', 'container', 'lease', 'snapshot', 'content', 'ingest'];
const order = ({ resource }: UsageItem): number => kinds.indexOf(resource.kind);

interface Summary {
  readonly kind: Resource['kind'];
  readonly count: number;
  readonly inUse: number;
  readonly bytes: number;
  readonly unusedBytes: number;
}

/** Sizes of holders overlap: layers that two images share are counted with both. */
function summaryOf(kind: Resource['kind'], items: readonly UsageItem[]): Summary {
  const mine = items.filter(({ resource }) => resource.kind === kind);
  const used = mine.filter(({ inUse }) => inUse);
  const unused = mine.filter(({ inUse }) => !inUse);
  const total = (list: readonly UsageItem[], of: 'bytes' | 'uniqueBytes') =>
    list.reduce((n, item) => n + item[of], 0);
  return {
    kind,
    count: mine.length,
    inUse: used.length,
    bytes: total(mine, 'bytes'),
    unusedBytes: total(unused, 'uniqueBytes'),
  };
}

const summaryColumns: readonly Column<Summary>[] = [
  { head: 'TYPE', show: ({ kind }) => `${kind}${kind === 'content' ? '' : 's'}` },
  { head: 'COUNT', show: ({ count }) => String(count) },
  { head: 'IN USE', show: ({ inUse }) => String(inUse) },
  { head: 'HOLDS', show: ({ bytes }) => humanSize(bytes) },
  { head: 'UNUSED', show: ({ unusedBytes }) => humanSize(unusedBytes) },
];

const itemColumns: readonly Column<UsageItem>[] = [
  { head: 'TYPE', show: ({ resource }) => resource.kind },
  { head: 'NAMESPACE', show: ({ resource }) => resource.namespace },
  { head: 'NAME', show: ({ resource }) => shortName(resource.id) },
  { head: 'HOLDS', show: ({ bytes }) => humanSize(bytes) },
  { head: 'SHARED', show: ({ bytes, uniqueBytes }) => humanSize(bytes - uniqueBytes) },
  { head: 'UNIQUE', show: ({ uniqueBytes }) => humanSize(uniqueBytes) },
  { head: 'IN USE', show: ({ inUse }) => (inUse ? 'yes' : 'no') },
];

type DiskRow = StorageUsage['parts'][number];
const diskRows = ({ root, parts, diskBytes }: StorageUsage): DiskRow[] => [
  ...parts.toSorted((a, b) => b.diskBytes - a.diskBytes),
  { name: root, diskBytes },
];
const diskColumns: readonly Column<DiskRow>[] = [
  { head: 'ON DISK', show: ({ name }) => name },
  { head: 'SIZE', show: ({ diskBytes }) => humanSize(diskBytes) },
];

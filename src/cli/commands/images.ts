import type { Command } from 'commander';
import type { BerthClient, Image } from '../../client/index.ts';
import type { Cli } from '../cli.ts';
import { act, collect } from '../command.ts';
import { splitName } from '../images.ts';
import { type Column, formatRows } from '../output/print.ts';
import { ago, humanSize, shortId } from '../output/text.ts';
import { hasLabels, parseFilters, passes } from '../parse/filter.ts';

interface Options {
  readonly quiet?: true;
  readonly digests?: true;
  readonly trunc: boolean;
  readonly filter?: readonly string[];
}

interface Row {
  readonly ID: string;
  readonly Repository: string;
  readonly Tag: string;
  readonly Name: string;
  readonly Digest: string;
  readonly CreatedAt: string;
  readonly CreatedSince: string;
  readonly Platform: string;
  readonly Size: string;
  readonly SizeBytes: number;
}

export function define(command: Command): void {
  command
    .argument('[name]', 'only images of this repository, with or without a tag')
    .option('-q, --quiet', 'ids only')
    .option('--digests', 'show digests')
    .option('--no-trunc', 'do not cut ids', true)
    .option('-f, --filter <key=value>', 'reference or label', collect);
  act<Options>(command, images);
}

async function images(cli: Cli, [name]: readonly string[], options: Options): Promise<void> {
  const client = await cli.client();
  const filters = parseFilters(options.filter ?? [], ['reference', 'label']);
  const found = (await client.images.list())
    .filter((image) => name === undefined || isCalled(image, name))
    .filter((image) => passes(filters, 'reference', (value) => isCalled(image, value)))
    .filter((image) => hasLabels(filters, image.labels))
    .toSorted((a, b) => b.updatedAt.getTime() - a.updatedAt.getTime());
  const shown = (image: Image) => (options.trunc ? shortId(image.target.digest) : image.target.digest);
  if (options.quiet === true) {
    return cli.print([...new Set(found.map(shown))].map((id) => `${id}\n`).join(''));
  }
  const rows = await Promise.all(found.map((image) => toRow(client, image, shown(image))));
  cli.print(await formatRows(cli.globals, columns(options.digests === true), rows));
}

function isCalled(image: Image, wanted: string): boolean {
  const { repository, tag } = splitName(image.name);
  return [image.name, repository, `${repository}:${tag}`].includes(wanted);
}

function columns(digests: boolean): Column<Row>[] {
  return [
    { head: 'REPOSITORY', show: (row) => row.Repository },
    { head: 'TAG', show: (row) => row.Tag },
    ...(digests ? [{ head: 'DIGEST', show: (row: Row) => row.Digest }] : []),
    { head: 'IMAGE ID', show: (row) => row.ID },
    { head: 'CREATED', show: (row) => row.CreatedSince },
    { head: 'PLATFORM', show: (row) => row.Platform },
    { head: 'SIZE', show: (row) => row.Size },
  ];
}

/** An image whose documents are not here, or are broken, has no platform and size. */
async function toRow(client: BerthClient, image: Image, id: string): Promise<Row> {
  const { readImage } = await import('../image-detail.ts');
  const { formatPlatform } = await import('../../oci/platform.ts');
  const detail = await readImage(client, image).catch(() => undefined);
  const { repository, tag } = splitName(image.name);
  return {
    ID: id,
    Repository: repository,
    Tag: tag,
    Name: image.name,
    Digest: image.target.digest,
    CreatedAt: image.createdAt.toISOString(),
    CreatedSince: ago(image.createdAt),
    Platform: detail === undefined ? '' : formatPlatform(detail.config.platform),
    Size: detail === undefined ? '' : humanSize(detail.sizeBytes),
    SizeBytes: detail?.sizeBytes ?? 0,
  };
}

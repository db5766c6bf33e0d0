import type { Command } from 'commander';
import { act } from '../command.ts';
import { formatRows } from '../output/print.ts';
import { humanSize, printable } from '../output/text.ts';
import {
  addRegistryOptions,
  interruptible,
  type RegistryOptions,
  registryAccess,
} from '../registry-access.ts';

interface Options extends RegistryOptions {
  readonly type?: string;
}

export function define(command: Command): void {
  command.argument('<image>', 'image at a registry').option('--type <type>', 'only artifacts of this type');
  addRegistryOptions(command);
  act<Options>(command, async (cli, [image = ''], options) => {
    const client = await cli.client();
    const found = await interruptible('listing', async (signal) => {
      const access = await registryAccess(cli, options, signal);
      const type = options.type === undefined ? {} : { artifactType: options.type };
      return client.registries.referrers(image, { ...access, ...type });
    });
    const rows = found.map(({ digest, artifactType = '', mediaType, size, annotations = {} }) => ({
      Digest: digest,
      Type: artifactType === '' ? mediaType : artifactType,
      Size: size,
      Annotations: annotations,
    }));
    const columns = [
      { head: 'DIGEST', show: (row: Row) => row.Digest },
      { head: 'TYPE', show: (row: Row) => printable(row.Type) },
      { head: 'SIZE', show: (row: Row) => humanSize(row.Size) },
    ];
    cli.print(await formatRows(cli.globals, columns, rows));
  });
}

interface Row {
  readonly Digest: string;
  readonly Type: string;
  readonly Size: number;
}

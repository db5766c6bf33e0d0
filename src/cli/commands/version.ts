import type { Command } from 'commander';
import type { Cli } from '../cli.ts';
import { act } from '../command.ts';
import { formatObject } from '../output/print.ts';
import { ownVersion } from '../own-version.ts';

export function define(command: Command): void {
  act<object>(command, version);
}

async function version(cli: Cli): Promise<void> {
  const own = {
    Version: ownVersion(),
    NodeVersion: process.version,
    Platform: `${process.platform}/${process.arch}`,
  };
  const client = await cli.client();
  const server = await client.version().catch((error: unknown) => {
    if (!cli.globals.json && cli.globals.format === undefined) cli.print(clientText(own));
    throw error;
  });
  const both = { Client: own, Server: { Version: server.version, Revision: server.revision } };
  cli.print(formatObject(cli.globals, both) ?? clientText(own) + serverText(both.Server));
}

const clientText = (own: { Version: string; NodeVersion: string; Platform: string }): string =>
  `Client:\n  Version:   ${own.Version}\n  Node:      ${own.NodeVersion}\n  Platform:  ${own.Platform}\n`;

/** Berth tells containerd's clients which containerd it stands for, and its own version as the revision. */
function serverText({ Version: api, Revision: revision }: { Version: string; Revision: string }): string {
  const version = /^berth-(.+)$/.exec(revision)?.[1];
  return version === undefined
    ? `\nServer:\n  Version:   ${api}\n  Revision:  ${revision}\n`
    : `\nServer:\n  Version:   ${version}\n  API:       containerd ${api}\n`;
}

import type { Command } from 'commander';
import type { BerthClient, Plugin } from '../../client/index.ts';
import type { Cli } from '../cli.ts';
import { act } from '../command.ts';
import { formatObject } from '../output/print.ts';
import { printable } from '../output/text.ts';

export function define(command: Command): void {
  act<object>(command, info);
}

async function info(cli: Cli): Promise<void> {
  const facts = await gather(await cli.client(), cli);
  cli.print(formatObject(cli.globals, facts) ?? words(facts));
}

type Facts = Awaited<ReturnType<typeof gather>>;

async function gather(client: BerthClient, cli: Cli) {
  const [version, server, plugins, containers, tasks, images] = await Promise.all([
    client.version(),
    client.server(),
    client.plugins(),
    client.containers.list(),
    client.tasks.list(),
    client.images.list(),
  ]);
  return {
    Address: cli.globals.address,
    Namespace: cli.globals.namespace,
    ServerVersion: version.version,
    Revision: version.revision,
    UUID: server.uuid,
    Pid: server.pid,
    Containers: containers.length,
    ContainersRunning: tasks.filter(({ status }) => status === 'running').length,
    ContainersPaused: tasks.filter(({ status }) => status === 'paused').length,
    Images: images.length,
    Snapshotters: idsOf(plugins, 'io.containerd.snapshotter.v1'),
    Plugins: plugins.map(({ type, id, exports, capabilities, initError }) => ({
      Type: type,
      ID: id,
      Exports: exports,
      Capabilities: capabilities,
      Error: initError ?? '',
    })),
    Warnings: server.deprecations.map(({ message }) => message),
  };
}

const idsOf = (plugins: readonly Plugin[], type: string): string[] =>
  plugins.filter((plugin) => plugin.type === type && plugin.initError === undefined).map(({ id }) => id);

function words(facts: Facts): string {
  const lines: [string, string | number][] = [
    ['Daemon', daemonText(facts)],
    ['Address', facts.Address],
    ...places(facts),
    ['Process id', facts.Pid],
    ['UUID', facts.UUID],
    ['Namespace', facts.Namespace],
    [
      'Containers',
      `${facts.Containers} (${facts.ContainersRunning} running, ${facts.ContainersPaused} paused)`,
    ],
    ['Images', facts.Images],
    ['Snapshotters', facts.Snapshotters.join(', ')],
    ...facts.Plugins.flatMap(exported),
    ...facts.Plugins.filter((plugin) => plugin.Error !== '').map(
      ({ Type, ID, Error: why }): [string, string] => ['Not available', `${Type}.${ID}: ${why}`],
    ),
    ...facts.Warnings.map((message): [string, string] => ['Warning', message]),
  ];
  return lines.map(([name, value]) => `${`${name}:`.padEnd(15)} ${printable(String(value))}\n`).join('');
}

const daemonText = ({ ServerVersion, Revision }: Facts): string =>
  Revision.startsWith('berth-')
    ? `berth ${Revision.slice('berth-'.length)} (API of containerd ${ServerVersion})`
    : `${ServerVersion}${Revision === '' ? '' : ` (${Revision})`}`;

const placeKeys = ['root', 'state', 'path'];

/** Where the daemon keeps its data, as its runtime tells. */
const places = ({ Plugins }: Facts): [string, string][] => {
  const exports = Plugins.find(({ Type }) => Type === 'io.containerd.runtime.v2')?.Exports ?? {};
  return Object.entries({ Root: exports.root, State: exports.state }).flatMap(([name, value]) =>
    value === undefined ? [] : [[name, value]],
  );
};

/** What plug-ins tell about themselves, such as how layers are mounted. */
const exported = ({ ID, Exports }: Facts['Plugins'][number]): [string, string][] =>
  Object.entries(Exports)
    .filter(([key]) => !placeKeys.includes(key))
    .map(([key, value]) => [ID, `${key} ${value}`]);

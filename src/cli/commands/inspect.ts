import type { Command } from 'commander';
import { type BerthClient, type Container, type Image, isKind } from '../../client/index.ts';
import type { Cli } from '../cli.ts';
import { act } from '../command.ts';
import { stateOf } from '../container-rows.ts';
import { findContainer, findTask, nameOf } from '../containers.ts';
import { CliError } from '../failure.ts';
import { findImage } from '../images.ts';
import { toJsonText } from '../output/print.ts';
import { compileTemplate } from '../output/template.ts';
import { specOf } from '../spec.ts';

export function define(command: Command): void {
  command
    .argument('<name...>', 'containers or images, by name or id')
    .option('--type <type>', 'container or image')
    .option('-f, --format <template>', "print by a template such as '{{.State.Pid}}'");
  act<{ readonly type?: string }>(command, inspect);
}

async function inspect(
  cli: Cli,
  names: readonly string[],
  { type }: { readonly type?: string },
): Promise<void> {
  if (type !== undefined && type !== 'container' && type !== 'image') {
    throw new CliError(`--type is container or image, not ${JSON.stringify(type)}`, { exitCode: 2 });
  }
  const client = await cli.client();
  const found: object[] = [];
  for (const name of names) found.push(await describe(client, name, type));
  const { format } = cli.globals;
  if (format === undefined || format === 'json') return cli.print(`${toJsonText(found, 2)}\n`);
  const template = compileTemplate(format);
  cli.print(found.map((one) => `${template(one)}\n`).join(''));
}

async function describe(client: BerthClient, name: string, type: string | undefined): Promise<object> {
  if (type === 'image') return describeImage(client, await findImage(client, name));
  try {
    return await describeContainer(client, await findContainer(client, name));
  } catch (error) {
    if (type === 'container' || !(error instanceof CliError) || /ambiguous/.test(error.message)) throw error;
  }
  const image = await findImage(client, name).catch((error: unknown) => {
    if (!(error instanceof CliError)) throw error;
    throw new CliError(`no container or image is called ${JSON.stringify(name)}`, {
      hint: 'list them: berth ps -a, berth images',
    });
  });
  return describeImage(client, image);
}

async function describeContainer(client: BerthClient, container: Container): Promise<object> {
  const task = await findTask(client, container.id);
  const ended = task?.status === 'stopped';
  return {
    Id: container.id,
    Name: nameOf(container),
    Created: container.createdAt.toISOString(),
    Updated: container.updatedAt.toISOString(),
    Image: container.image,
    State: {
      Status: stateOf(task),
      Running: task?.status === 'running',
      Pid: ended ? 0 : (task?.pid ?? 0),
      ExitCode: ended ? task.exitCode : 0,
      FinishedAt: ended ? task.exitedAt.toISOString() : '',
      Terminal: task?.terminal ?? false,
      Ending: task === undefined ? [] : await endingOf(client, container.id),
    },
    Runtime: container.runtime.name,
    Snapshotter: container.snapshotter,
    SnapshotKey: container.snapshotKey,
    SandboxId: container.sandboxId,
    Labels: container.labels,
    Spec: specOf(container) ?? null,
  };
}

/** What was done to end it: tells why a container that should be gone is not. */
async function endingOf(client: BerthClient, id: string): Promise<object[]> {
  try {
    const steps = await client.containers.endSteps(id);
    return steps.map(({ at, step, error }) => ({ At: at.toISOString(), Step: step, Error: error }));
  } catch (error) {
    // It has gone meanwhile, or the daemon is of a time before.
    if (isKind(error, 'not_found') || isKind(error, 'not_implemented')) return [];
    throw error;
  }
}

async function describeImage(client: BerthClient, image: Image): Promise<object> {
  const { readImage } = await import('../image-detail.ts');
  const detail = await readImage(client, image);
  return {
    Id: image.target.digest,
    Name: image.name,
    MediaType: image.target.mediaType,
    Created: image.createdAt.toISOString(),
    Updated: image.updatedAt.toISOString(),
    Labels: image.labels,
    Size: detail?.sizeBytes ?? 0,
    ManifestDigest: detail?.manifestDigest ?? '',
    Layers: detail?.manifest.layers ?? [],
    Config: detail?.configJson ?? null,
  };
}

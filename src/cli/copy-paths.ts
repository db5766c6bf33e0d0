import { posix, resolve } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { BerthClient } from '../client/index.ts';
import { isKind, messageOf } from '../errors/error.ts';
import type { Cli } from './cli.ts';
import { findContainer } from './containers.ts';
import { CliError } from './failure.ts';
import { containerEnd, hostEnd, type PathEnd, type PathStat } from './path-ends.ts';

/** Flags of `berth cp`, as in docker. */
export interface CopyPathOptions {
  /** Keep owners. */
  readonly archive: boolean;
  /** Copy what a symlink at the end of the source points to. */
  readonly followLink: boolean;
}

/**
 * `berth cp`, by docker's rules: a file goes to the name given, or into a directory that is there; a directory goes into
 * one that is there (with `/.` only what is in it), or becomes the name that is not.
 * @throws CliError, BerthError
 */
export async function copyPaths(
  cli: Cli,
  source: string,
  destination: string,
  options: CopyPathOptions,
): Promise<void> {
  const [from, to] = [parsePlace(source), parsePlace(destination)];
  if (from.container === undefined && to.container === undefined)
    throw new CliError('one side of a copy must be in a container', {
      hint: 'write it CONTAINER:PATH; paths here with a colon need ./ in front',
    });
  if (from.container !== undefined && to.container !== undefined)
    throw new CliError('copying between containers is not supported', {
      hint: `use a pipe: berth cp ${source} - | berth cp - ${destination}`,
    });
  const client = await cli.client();
  if (to.path === '-') return readToStdout(cli, await openEnd(client, from, options), from, options);
  const [reader, writer] = [await openEnd(client, from, options), await openEnd(client, to, options)];
  if (from.path === '-') return writeFromStdin(cli, writer, to);
  await copyBetween(reader, from, writer, to, options);
}

interface Place {
  /** Undefined for this machine. */
  readonly container: string | undefined;
  /** Absolute, with its `/` or `/.` at the end kept; `-` for a stream. */
  readonly path: string;
}

/** @throws CliError. Exported for tests. */
export function parsePlace(text: string): Place {
  if (text === '') throw new CliError('source and destination must not be empty');
  const colon = text.indexOf(':');
  const isHere = colon < 1 || /^[./]/.test(text);
  if (text === '-') return { container: undefined, path: '-' };
  if (isHere) return { container: undefined, path: kept(text, resolve(text)) };
  const path = text.slice(colon + 1);
  if (path === '') throw new CliError(`${text}: no path in the container`, { hint: 'write CONTAINER:/path' });
  return { container: text.slice(0, colon), path: kept(path, posix.join('/', path)) };
}

/** A cleaned path with the `/` or `/.` that it ended in. */
function kept(text: string, clean: string): string {
  const [end] = /\/\.?$/.exec(text) ?? (text === '.' ? ['/.'] : ['']);
  return clean.replace(/\/+$/, '') + (end || (clean === '/' ? '/' : ''));
}

async function openEnd(
  client: BerthClient,
  { container, path }: Place,
  options: CopyPathOptions,
): Promise<PathEnd> {
  if (container === undefined || path === '-') return hostEnd(options.archive);
  return containerEnd(client, (await findContainer(client, container)).id, options.archive);
}

async function readToStdout(cli: Cli, end: PathEnd, from: Place, options: CopyPathOptions): Promise<void> {
  if (cli.stdout.isTTY)
    throw new CliError('a tar is not written to a terminal', { hint: 'redirect the output' });
  const { path, contents } = await sourceOf(end, from.path, options);
  await pipeline(Readable.from(end.read(path, contents ? '' : baseOf(path))), cli.stdout, { end: false });
}

async function writeFromStdin(cli: Cli, end: PathEnd, to: Place): Promise<void> {
  if (cli.stdin.isTTY)
    throw new CliError('a tar is not read from a terminal', { hint: 'redirect the input' });
  const { path, stat } = await follow(end, trimmed(to.path));
  if (stat === undefined) throw missing(to.path);
  if (stat.type !== 'directory') throw new CliError(`${to.path} is not a directory`);
  await end.write(path, cli.stdin, '', '');
}

async function copyBetween(
  reader: PathEnd,
  from: Place,
  writer: PathEnd,
  to: Place,
  options: CopyPathOptions,
): Promise<void> {
  const source = await sourceOf(reader, from.path, options);
  const target = await targetOf(writer, to.path, source);
  const asked = source.contents ? '' : baseOf(source.path);
  // Here the top is named while reading; what a container sends is renamed while writing.
  const name = from.container === undefined ? target.name : asked;
  await writer.write(target.directory, reader.read(source.path, name), name, target.name);
}

interface Source {
  /** Without a `/` at the end, but for the root. */
  readonly path: string;
  readonly isDirectory: boolean;
  /** Only what is in the directory. */
  readonly contents: boolean;
}

async function sourceOf(end: PathEnd, text: string, { followLink }: CopyPathOptions): Promise<Source> {
  const contents = text.endsWith('/.') || text === '/';
  const wantsDirectory = text.endsWith('/') || contents;
  const { path, stat } =
    followLink || wantsDirectory
      ? await follow(end, trimmed(text))
      : { path: trimmed(text), stat: await end.stat(trimmed(text)) };
  if (stat === undefined) throw missing(text);
  const isDirectory = stat.type === 'directory';
  if (wantsDirectory && !isDirectory) throw new CliError(`${text} is not a directory`);
  return { path, isDirectory, contents };
}

/** Where the copy goes, and what it is called there; name '' for the directory itself. */
async function targetOf(
  end: PathEnd,
  text: string,
  source: Source,
): Promise<{ readonly directory: string; readonly name: string }> {
  const { path, stat } = await follow(end, trimmed(text));
  const wantsDirectory = /\/\.?$/.test(text);
  if (stat?.type === 'directory')
    return { directory: path, name: source.contents ? '' : baseOf(source.path) };
  if (stat !== undefined && wantsDirectory) throw new CliError(`${text} is not a directory`);
  if (stat !== undefined && source.isDirectory)
    throw new CliError(`cannot copy the directory ${source.path} onto ${text}, which is not a directory`);
  if (stat === undefined && wantsDirectory && !source.isDirectory)
    throw new CliError(`the directory ${text} does not exist`, { hint: 'make it first' });
  const parent = await follow(end, posix.dirname(path));
  if (parent.stat === undefined) throw missing(posix.dirname(path));
  if (parent.stat.type !== 'directory') throw new CliError(`${posix.dirname(path)} is not a directory`);
  return { directory: parent.path, name: baseOf(path) };
}

const maxLinks = 40;

/** Follows a symlink at the end of a path, as often as needed; the last name that is not there stays. */
async function follow(
  end: PathEnd,
  start: string,
): Promise<{ readonly path: string; readonly stat: PathStat | undefined }> {
  let path = start;
  for (let links = 0; links < maxLinks; links++) {
    const stat = await statOrMissing(end, path);
    if (stat?.type !== 'symlink') return { path, stat };
    path = trimmed(posix.resolve(posix.dirname(path), stat.target));
  }
  throw new CliError(`${start}: too many levels of symbolic links`);
}

/** A path below something that is no directory is not there either. */
async function statOrMissing(end: PathEnd, path: string): Promise<PathStat | undefined> {
  try {
    return await end.stat(path);
  } catch (error) {
    if (isKind(error, 'failed_precondition') && messageOf(error).includes('not a directory'))
      return undefined;
    throw error;
  }
}

const baseOf = (path: string): string => posix.basename(path);
const trimmed = (path: string): string => path.replace(/\/\.?$/, '').replace(/\/+$/, '') || '/';
const missing = (path: string): CliError => new CliError(`there is no ${path}`);

import { Command } from 'commander';
import { addGlobals } from './command.ts';
import { loaders } from './loaders.ts';

/** A command's file defines its arguments, options and action on the command that it is given. */
interface CommandFile {
  define(command: Command): void;
}

interface Entry {
  readonly summary: string;
  readonly load: () => Promise<CommandFile>;
  readonly aliases?: readonly string[];
}

/** Every command; its file is loaded only when it is asked for, because starting fast matters. */
const commands: Readonly<Record<string, Entry>> = {
  run: { summary: 'make a container of an image and run it', load: () => import('./commands/run.ts') },
  exec: { summary: 'run a command in a running container', load: () => import('./commands/exec.ts') },
  ps: { summary: 'list containers', load: () => import('./commands/ps.ts') },
  logs: { summary: 'show what a container wrote', load: () => import('./commands/logs.ts') },
  attach: {
    summary: 'connect to the streams of a running container',
    load: () => import('./commands/attach.ts'),
  },
  start: { summary: 'start stopped containers', load: () => import('./commands/start.ts') },
  stop: { summary: 'stop containers gently, then by force', load: () => import('./commands/stop.ts') },
  restart: { summary: 'stop containers and start them again', load: () => import('./commands/restart.ts') },
  pause: { summary: 'freeze all processes of containers', load: () => import('./commands/pause.ts') },
  unpause: { summary: 'let paused containers go on', load: () => import('./commands/unpause.ts') },
  wait: {
    summary: 'wait until containers end, print their exit statuses',
    load: () => import('./commands/wait.ts'),
  },
  cp: {
    summary: 'copy files into a container, or out of one',
    load: () => import('./commands/cp.ts'),
  },
  rename: { summary: 'give a container another name', load: () => import('./commands/rename.ts') },
  update: { summary: 'change the limits of containers', load: () => import('./commands/update.ts') },
  stats: { summary: 'show what containers use, live', load: () => import('./commands/stats.ts') },
  top: { summary: 'list the processes of a container', load: () => import('./commands/top.ts') },
  kill: { summary: 'send a signal to containers', load: () => import('./commands/kill.ts') },
  rm: { summary: 'remove containers', load: () => import('./commands/rm.ts') },
  pull: { summary: 'fetch an image from a registry', load: () => import('./commands/pull.ts') },
  push: { summary: 'bring an image to a registry', load: () => import('./commands/push.ts') },
  copy: {
    summary: 'copy an image from one registry to another',
    load: () => import('./commands/copy.ts'),
  },
  tags: { summary: 'list the tags of a repository', load: () => import('./commands/tags.ts') },
  referrers: {
    summary: 'list what refers to an image: signatures, attestations',
    load: () => import('./commands/referrers.ts'),
  },
  login: { summary: 'keep a login for a registry', load: () => import('./commands/login.ts') },
  logout: { summary: 'forget a login for a registry', load: () => import('./commands/logout.ts') },
  save: { summary: 'write images into an archive', load: () => import('./commands/save.ts') },
  load: { summary: 'load the images of an archive', load: () => import('./commands/load.ts') },
  images: { summary: 'list images', load: () => import('./commands/images.ts') },
  commit: { summary: 'make an image of a container', load: () => import('./commands/commit.ts') },
  checkpoint: {
    summary: 'make an image of a running container that it can be restored from',
    load: () => import('./commands/checkpoint.ts'),
  },
  restore: { summary: 'make a container of a checkpoint go on', load: () => import('./commands/restore.ts') },
  tag: { summary: 'give an image another name', load: () => import('./commands/tag.ts') },
  rmi: { summary: 'remove images', load: () => import('./commands/rmi.ts') },
  inspect: {
    summary: 'show all that is known about containers or images',
    load: () => import('./commands/inspect.ts'),
  },
  events: { summary: 'watch what happens', load: () => import('./commands/events.ts') },
  df: { summary: 'show what takes how much disk', load: () => import('./commands/df.ts') },
  why: { summary: 'show what keeps something on disk', load: () => import('./commands/why.ts') },
  prune: { summary: 'remove what nothing uses', load: () => import('./commands/prune.ts') },
  fsck: { summary: 'check, and repair, what is on disk', load: () => import('./commands/fsck.ts') },
  config: {
    summary: "show the daemon's configuration, or make it read its files again",
    load: () => import('./commands/config.ts'),
  },
  info: { summary: 'show what the daemon is and has', load: () => import('./commands/info.ts') },
  version: { summary: 'show the versions of client and daemon', load: () => import('./commands/version.ts') },
  transfers: {
    summary: 'show, watch and cancel pulls and other transfers under way',
    load: () => import('./commands/transfers.ts'),
    aliases: ['pulls'],
  },
  namespaces: {
    summary: 'list and change namespaces',
    load: () => import('./commands/namespaces.ts'),
    aliases: ['namespace', 'ns'],
  },
  completion: { summary: 'print a shell completion script', load: () => import('./commands/completion.ts') },
};

/** The tree of commands, without the options of those that are not asked for. `version` is Berth's own. */
export function makeProgram(version: string): Command {
  const program = new Command('berth')
    .description('Run containers. Berth is a container runtime daemon and this is its command line.')
    .version(`berth version ${version}`, '-V, --version', 'print the version of this program')
    .helpOption('--help', 'show help')
    .helpCommand(false)
    .enablePositionalOptions()
    .exitOverride()
    .showSuggestionAfterError();
  addGlobals(program, false);
  for (const [name, entry] of Object.entries(commands)) addCommand(program, name, entry);
  program.hook('preSubcommand', (_, command) => load(command));
  return program;
}

function addCommand(program: Command, name: string, entry: Entry): void {
  const command = program
    .command(name)
    .summary(entry.summary)
    .description(`${entry.summary.slice(0, 1).toUpperCase()}${entry.summary.slice(1)}.`)
    .helpOption('--help', 'show help')
    .aliases([...(entry.aliases ?? [])]);
  loaders.set(command, () => load(command));
}

async function load(command: Command): Promise<void> {
  const entry = commands[command.name()];
  if (entry === undefined || !loaders.delete(command)) return;
  (await entry.load()).define(command);
  addGlobals(command, true);
  command.addHelpText('after', '\nOptions of every command, such as --json and --format: berth --help');
}

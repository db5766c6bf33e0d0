/** What users of docker and nerdctl type that Berth has not, and what to do instead. */

const noNetworks = 'until networks come a container has that of the host (--net host) or none';

export const runOptions: Readonly<Record<string, string>> = {
  ...Object.fromEntries(
    ['-p', '--publish', '-P', '--publish-all', '--expose', '--link', '--dns', '--ip', '--add-host'].map(
      (name) => [name, noNetworks],
    ),
  ),
  ...Object.fromEntries(
    '--init --gpus --ulimit --shm-size --memory-swap --sysctl --group-add --cidfile --pid --ipc --userns'
      .split(' ')
      .map((name) => [name, 'it comes later']),
  ),
};

export const commands: Readonly<Record<string, string>> = {
  container: 'its commands stand alone: berth ps, run, rm, …',
  image: 'its commands stand alone: berth images, pull, tag, rmi, inspect',
  build: 'build with another tool and push to a registry, then berth pull',
  network: noNetworks,
  import: 'archives of images: berth load',
  export: 'a whole image: berth save; files of a container: berth cp',
  volume: 'named volumes come later: mount a directory with -v /host:/container',
  ...Object.fromEntries(
    'create port diff history compose system'.split(' ').map((name) => [name, 'it comes later']),
  ),
};

/** What to say of an option of `berth run` that is known elsewhere; `text` as given, e.g. `--restart=no`. */
export const optionElsewhere = (text: string): string | undefined =>
  own(runOptions, text.replace(/=.*$/s, ''));

export const commandElsewhere = (name: string): string | undefined => own(commands, name);

const own = (table: Readonly<Record<string, string>>, key: string): string | undefined =>
  Object.hasOwn(table, key) ? table[key] : undefined;

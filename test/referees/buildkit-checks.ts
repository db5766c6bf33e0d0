import assert from 'node:assert/strict';
import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Buildkit } from '../kit/buildkit.ts';
import { output } from '../kit/run.ts';

/** What a check needs. */
export interface Bench {
  readonly buildkit: Buildkit;
  /** A busybox image in the registry. */
  readonly base: string;
  /** `host:port` of the registry. */
  readonly registry: string;
  /** A word that no other bench has: in names of images, in commands that must not be cached. */
  readonly own: string;
  /** Runs ctr in the namespace that buildkitd uses; what it prints. */
  readonly ctr: (...words: string[]) => Promise<string>;
}

const dockerfile = (...lines: string[]) => ({ Dockerfile: `${lines.join('\n')}\n` });

let made = 0;
/** Builds with one kind of output into a file and returns its path. */
async function exported(
  { buildkit }: Bench,
  files: Readonly<Record<string, string>>,
  type: string,
  ...more: string[]
): Promise<string> {
  const path = join(buildkit.dir, `${++made}.${type}`);
  await buildkit.build(files, '--output', `type=${type},dest=${path}`, ...more);
  return path;
}

const inTar = (path: string, member: string) => output('tar', ['-xOf', path, member]);

/** Each is a sentence about BuildKit on a containerd; they build upon one another's cache but pass alone. */
export const checks: Readonly<Record<string, (bench: Bench) => Promise<void>>> = {
  'the worker names its executor, snapshotter, daemon and platforms': async ({ buildkit }) => {
    const [worker, ...others] = JSON.parse(
      (await buildkit.buildctl('debug', 'workers', '--format', '{{json .}}')).stdout,
    );
    assert.equal(others.length, 0);
    const label = (name: string) => worker.labels[`org.mobyproject.buildkit.worker.${name}`];
    assert.equal(label('executor'), 'containerd');
    assert.match(label('containerd.uuid'), /^[0-9a-f-]{36}$/);
    assert.ok(worker.platforms.some(({ os }: { os: string }) => os === 'linux'));
  },
  'RUN: its output is shown, its files are kept': async (bench) => {
    const files = dockerfile(`FROM ${bench.base}`, `RUN echo said ${bench.own} && echo ${bench.own} >/kept`);
    assert.match(await bench.buildkit.build(files), new RegExp(`said ${bench.own}`));
    assert.equal(await inTar(await exported(bench, files, 'tar'), 'kept'), bench.own);
  },
  'RUN: one that fails ends the build with its exit code': async (bench) => {
    const files = dockerfile(`FROM ${bench.base}`, `RUN echo ${bench.own} is why >&2; exit 7`);
    const { status, stderr } = await bench.buildkit.tryBuild(files);
    assert.notEqual(status, 0);
    assert.match(stderr, new RegExp(`${bench.own} is why`));
    assert.match(stderr, /did not complete successfully: exit code: 7/);
  },
  'several stages: only what is copied reaches the last': async (bench) => {
    const files = dockerfile(
      `FROM ${bench.base} AS maker`,
      `RUN mkdir /made && echo ${bench.own} >/made/it && ln -s it /made/link`,
      'FROM scratch',
      'COPY --from=maker /made /taken',
    );
    const tar = await exported(bench, files, 'tar');
    assert.equal(await inTar(tar, 'taken/it'), bench.own);
    assert.doesNotMatch(await output('tar', ['-tf', tar]), /bin/);
  },
  'a cache mount lasts from build to build and is in no image': async (bench) => {
    const step = (command: string) =>
      dockerfile(`FROM ${bench.base}`, `RUN --mount=type=cache,id=${bench.own},target=/cache ${command}`);
    await bench.buildkit.build(step(`echo ${bench.own} >/cache/left`));
    const tar = await exported(bench, step('cat /cache/left >/found'), 'tar');
    assert.equal(await inTar(tar, 'found'), bench.own);
    assert.doesNotMatch(await output('tar', ['-tf', tar]), /cache\/left/);
  },
  'a secret, a tmpfs and a bind mount are there and leave nothing': async (bench) => {
    const files = {
      ...dockerfile(
        `FROM ${bench.base}`,
        `RUN --mount=type=secret,id=word --mount=type=tmpfs,target=/scratch --mount=target=/context touch /scratch/x && cat /run/secrets/word /context/given >/seen`,
      ),
      given: bench.own,
    };
    const tar = await exported(bench, files, 'tar', '--secret', 'id=word,env=HOME');
    assert.equal(await inTar(tar, 'seen'), `${process.env.HOME}${bench.own}`);
    assert.doesNotMatch(await output('tar', ['-tf', tar]), /scratch\/x|context\/given/);
  },
  '--target ends at a stage': async (bench) => {
    const files = dockerfile(
      `FROM ${bench.base} AS one`,
      'RUN touch /one',
      'FROM one AS two',
      'RUN touch /two',
    );
    const names = await output('tar', ['-tf', await exported(bench, files, 'tar', '--opt', 'target=one')]);
    assert.match(names, /^one$/m);
    assert.doesNotMatch(names, /^two$/m);
  },
  'COPY --link, ADD of a tar, chown and removal make the layers they say': async (bench) => {
    const files = {
      ...dockerfile(
        `FROM ${bench.base} AS lower`,
        'RUN mkdir /d && touch /d/gone /d/stays',
        'FROM lower',
        'COPY --link --chown=7:8 given /linked',
        'COPY --link given /d/linked',
        'RUN rm /d/gone && chown 9 /d/stays',
      ),
      given: bench.own,
    };
    const listed = await output('tar', ['--numeric-owner', '-tvf', await exported(bench, files, 'tar')]);
    assert.match(listed, / 7\/8 .* linked$/m);
    assert.match(listed, / 9\/0 .* d\/stays$/m);
    assert.match(listed, / d\/linked$/m);
    assert.doesNotMatch(listed, /gone/);
  },
  'USER, WORKDIR, ARG and no network': async (bench) => {
    const files = dockerfile(
      `FROM ${bench.base}`,
      'ARG WORD',
      'RUN mkdir -m 777 /w',
      'WORKDIR /w',
      'USER 1234:56',
      'RUN --network=none echo "$WORD $(id -u) $(pwd) $(ls /sys/class/net)" >said',
    );
    const tar = await exported(bench, files, 'tar', '--opt', `build-arg:WORD=${bench.own}`);
    assert.equal(await inTar(tar, 'w/said'), `${bench.own} 1234 /w lo`);
  },
  'an OCI archive holds the image': async (bench) => {
    const files = dockerfile(
      `FROM ${bench.base}`,
      `ENV OWN=${bench.own}`,
      'RUN touch /more',
      'CMD ["/bin/true"]',
    );
    const path = await exported(bench, files, 'oci');
    const config = JSON.parse(await output('skopeo', ['inspect', '--config', `oci-archive:${path}`]));
    assert.deepEqual(config.config.Cmd, ['/bin/true']);
    assert.ok(config.config.Env.includes(`OWN=${bench.own}`));
    assert.equal(config.rootfs.diff_ids.length, 2);
  },
  'a local directory takes the files': async (bench) => {
    const path = join(bench.buildkit.dir, 'local');
    mkdirSync(path, { recursive: true });
    const files = { ...dockerfile('FROM scratch', 'COPY given /to/'), given: bench.own };
    await bench.buildkit.build(files, '--output', `type=local,dest=${path}`);
    assert.equal(readFileSync(join(path, 'to/given'), 'utf8'), bench.own);
  },
  'a second build does nothing again': async (bench) => {
    const files = dockerfile(`FROM ${bench.base}`, `RUN date >/when; echo ${bench.own}`);
    const first = await inTar(await exported(bench, files, 'tar'), 'when');
    assert.match(await bench.buildkit.build(files), /CACHED/);
    assert.equal(await inTar(await exported(bench, files, 'tar'), 'when'), first);
  },
  'an image in the daemon’s own store runs': async (bench) => {
    const name = `${bench.registry}/${bench.own}/stored:latest`;
    const files = dockerfile(`FROM ${bench.base}`, `RUN echo ${bench.own} >/word`);
    await bench.buildkit.build(files, '--output', `type=image,name=${name},unpack=true`);
    assert.equal(await bench.ctr('run', '--rm', name, `${bench.own}-run`, 'cat', '/word'), bench.own);
    await bench.ctr('images', 'rm', '--sync', name);
  },
  'pushed images, gzip, zstd and eStargz, are pulled and run': async (bench) => {
    const files = dockerfile(`FROM ${bench.base}`, `RUN echo ${bench.own} >/word`);
    for (const compression of ['gzip', 'zstd', 'estargz']) {
      const name = `${bench.registry}/${bench.own}/${compression}:latest`;
      const how = `compression=${compression},force-compression=true,oci-mediatypes=true`;
      await bench.buildkit.build(files, '--output', `type=image,name=${name},push=true,store=false,${how}`);
      await bench.ctr('images', 'pull', '--plain-http', name);
      assert.equal(
        await bench.ctr('run', '--rm', name, `${bench.own}-${compression}`, 'cat', '/word'),
        bench.own,
      );
      await bench.ctr('images', 'rm', '--sync', name);
    }
  },
  'a cache in a registry replaces one that was pruned': async (bench) => {
    const files = dockerfile(`FROM ${bench.base}`, `RUN date >/when; echo ${bench.own} cached`);
    const ref = `ref=${bench.registry}/${bench.own}/cache:latest`;
    await bench.buildkit.build(files, '--export-cache', `type=registry,mode=max,${ref}`);
    const first = await inTar(await exported(bench, files, 'tar'), 'when');
    await bench.buildkit.prune();
    const again = await exported(bench, files, 'tar', '--import-cache', `type=registry,${ref}`);
    assert.equal(await inTar(again, 'when'), first);
  },
  'two builds at once do a step that both have once': async (bench) => {
    const step = `RUN cat /proc/sys/kernel/random/uuid >/uuid; echo ${bench.own} shared`;
    const uuids = ['a', 'b'].map(async (last) => {
      const files = dockerfile(`FROM ${bench.base}`, step, `RUN touch /${last}`);
      return inTar(await exported(bench, files, 'tar'), 'uuid');
    });
    const [one, other] = await Promise.all(uuids);
    assert.equal(one, other);
  },
};

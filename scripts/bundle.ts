// Makes dist/ of src/: for each program, thread and the library one file, and beside them the files that these share or load later.
// Few large modules instead of hundreds of small ones halve what a start costs and save memory (docs/decisions/0003).
// The packages that every daemon loads are in them; the others stay packages, because they are loaded where they are needed.
import { globSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { build, type Metafile, type Plugin } from 'esbuild';

const top = join(import.meta.dirname, '..');
const src = join(top, 'src');
const dist = join(top, 'dist');
const bundled = ['@bufbuild/protobuf', 'commander', 'pino', 'smol-toml'];

interface Package {
  readonly name: string;
  readonly license?: string;
  readonly dependencies: Readonly<Record<string, string>>;
}
const packageOf = (directory: string): Package =>
  JSON.parse(readFileSync(join(directory, 'package.json'), 'utf8'));

const { metafile } = await build({
  entryPoints: globSync(['**/main.ts', '**/*-worker.ts', 'client/index.ts'], { cwd: src }).map((path) =>
    join(src, path),
  ),
  outdir: dist,
  outbase: src,
  chunkNames: 'shared/[name]-[hash]',
  bundle: true,
  splitting: true,
  format: 'esm',
  platform: 'node',
  target: 'node22',
  charset: 'utf8',
  legalComments: 'none',
  external: Object.keys(packageOf(top).dependencies).filter((name) => !bundled.includes(name)),
  // CommonJS packages ask for Node's own modules this way.
  banner: {
    js: "import { createRequire as requireOf } from 'node:module';\nconst require = requireOf(import.meta.url);",
  },
  plugins: [ownPlaces()],
  metafile: true,
  logLevel: 'warning',
  absWorkingDir: top,
});
writeFileSync(join(dist, 'LICENSES'), licenses(metafile));

/** A module finds what lies beside it (threads, programs) by the place that it has in `src`, whichever file it has ended in. */
function ownPlaces(): Plugin {
  return {
    name: 'own-places',
    setup({ onLoad }) {
      onLoad({ filter: /\/src\/.*\.ts$/ }, ({ path }) => {
        const place = join('dist', relative(src, path)).replace(/\.ts$/, '.js');
        const url = `new URL(${JSON.stringify(place)}, import.meta.resolve('berth/package.json')).href`;
        return { contents: readFileSync(path, 'utf8').replaceAll('import.meta.url', url), loader: 'ts' };
      });
    },
  };
}

/** The licences of the packages that went into the files. */
function licenses({ inputs }: Metafile): string {
  const directories = new Set(
    Object.keys(inputs).flatMap((path) => /^node_modules\/(?:@[^/]+\/)?[^/]+/.exec(path) ?? []),
  );
  return [...directories]
    .sort()
    .map((directory) => {
      const file = readdirSync(join(top, directory)).find((name) => /^licen[cs]e/i.test(name));
      const { name, license = 'UNLICENSED' } = packageOf(join(top, directory));
      const text = file === undefined ? license : readFileSync(join(top, directory, file), 'utf8').trim();
      return `${name}\n\n${text}\n`;
    })
    .join(`\n${'-'.repeat(79)}\n\n`);
}

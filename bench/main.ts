// Measures berthd beside containerd 2.3.4: same machine, same run, same client (ctr 2.3.4), same registry on loopback, same
// OCI runtime (runc). usage: sudo node bench/main.ts [--quick] [--only GROUP]…
// Each group's figures are kept in /var/cache/berth-bench/results as soon as it is done; docs/benchmarks.md is made of the latest
// of every group. --quick: few rounds, nothing is kept.
import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { cpus, loadavg, release, totalmem } from 'node:os';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { api } from './groups/api.ts';
import { build } from './groups/build.ts';
import { bytes } from './groups/bytes.ts';
import { calls } from './groups/calls.ts';
import { docker } from './groups/docker.ts';
import { floors } from './groups/floors.ts';
import { hundred, idle, thousand } from './groups/many.ts';
import { output } from './groups/output.ts';
import { pulls } from './groups/pulls.ts';
import { crun, starts } from './groups/starts.ts';
import { cache, type Lab, openLab } from './lab.ts';
import { type Row, renderRow, tableHead } from './stats.ts';

const groups: Readonly<Record<string, (lab: Lab) => AsyncGenerator<Row>>> = {
  idle,
  calls,
  api,
  starts,
  crun,
  docker,
  hundred,
  thousand,
  output,
  pulls,
  build,
  bytes,
  floors,
};

/** What one run of a group found. */
interface Result {
  readonly at: string;
  readonly load: string;
  readonly rows: readonly Row[];
}

const { values } = parseArgs({
  options: { quick: { type: 'boolean', default: false }, only: { type: 'string', multiple: true } },
});
const chosen = values.only ?? Object.keys(groups);
const results = join(cache, 'results');
const report = resolve(import.meta.dirname, '../docs/benchmarks.md');

async function runGroup(name: string, lab: Lab): Promise<void> {
  const group = groups[name];
  if (group === undefined) throw new Error(`no group ${name}: ${Object.keys(groups).join(', ')}`);
  const before = load();
  const rows: Row[] = [];
  console.log(`\n${name}\n${tableHead}`);
  for await (const row of group(lab)) {
    rows.push(row);
    console.log(renderRow(row));
  }
  if (values.quick || rows.length === 0) return;
  const result: Result = { at: new Date().toISOString(), load: `${before} ▶ ${load()}`, rows };
  replace(join(results, `${name}.json`), JSON.stringify(result));
  replace(report, render());
}

const load = (): string => loadavg()[0]?.toFixed(1) ?? '';

function replace(path: string, text: string): void {
  writeFileSync(`${path}.new`, text);
  renameSync(`${path}.new`, path);
}

function render(): string {
  const cpu = /model name\s*: (.*)/.exec(readFileSync('/proc/cpuinfo', 'utf8'))?.[1] ?? 'unknown';
  const runc = execFileSync('runc', ['--version'], { encoding: 'utf8' }).split('\n')[0];
  const found = Object.keys(groups).flatMap((name) => {
    const result = lastResult(name);
    return result === undefined ? [] : [{ name, ...result }];
  });
  return `# Benchmarks

Made by \`sudo node bench/main.ts\`: ${cpus().length} × ${cpu}, ${Math.round(totalmem() / 2 ** 30)} GiB, Linux ${release()}. Both daemons run at the same time on
the same disk, their state in memory as /run is, the sides take turns (a thousand containers: one side after the other), figures are medians. The client is ctr 2.3.4, the registry Debian's docker-registry on
loopback, the OCI runtime ${runc} for both, or crun 1.28 in the rows that say so: Debian
sid's, started by a line of shell with its own loader, and without sight of cgroup v2, which it wants alone or not at all. Berth runs from its packed npm package and syncs layers, blobs and metadata before it acknowledges
them; containerd 2.3.4 has its defaults, the CRI left out. A goal with "x" is a ratio to containerd, the others are values of Berth alone.

${tableHead}
${found.flatMap(({ rows }) => rows.map(renderRow)).join('\n')}

Memory is read after 20 s without calls. PSS counts pages that processes share by halves, thirds and so on; the one Node binary
that berthd and its shim share counts once. Berth's memory in quiet moments and during pulls: docs/decisions/0003-memory-and-start.md.
Where the milliseconds of a start go: docs/start-trace.md.

| group | measured | load average before and after |
|---|---|---|
${found.map(({ name, at, load }) => `| ${name} | ${at.slice(0, 16).replace('T', ' ')} | ${load} |`).join('\n')}
`;
}

function lastResult(name: string): Result | undefined {
  try {
    return JSON.parse(readFileSync(join(results, `${name}.json`), 'utf8')) as Result;
  } catch {
    return undefined;
  }
}

mkdirSync(results, { recursive: true });
await using lab = await openLab(values.quick);
for (const name of chosen) await runGroup(name, lab);

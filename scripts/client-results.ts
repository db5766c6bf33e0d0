// Puts what tests wrote with BERTH_TEST_RESULTS=DIR together: a list of every check into FILE, a table in Markdown to stdout.
// usage: node scripts/client-results.ts DIR FILE
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** One client on one daemon: title of each check, and how it went. */
interface Result {
  readonly client: string;
  readonly subject: string;
  readonly results: Readonly<Record<string, string>>;
}

const [dir = '.', file = ''] = process.argv.slice(2);
const found = readdirSync(dir).map((name) => JSON.parse(readFileSync(join(dir, name), 'utf8')) as Result);
const clients = [...new Set(found.map(({ client }) => client))].sort();
const of = (client: string, subject: RegExp) =>
  found.find((one) => one.client === client && subject.test(one.subject))?.results ?? {};

const passed = (results: Result['results']): string => {
  const outcomes = Object.values(results);
  return outcomes.length === 0 ? 'not run' : `${outcomes.filter((one) => one === 'passed').length}`;
};

const notPassed = (results: Result['results']): Record<string, string> =>
  Object.fromEntries(Object.entries(results).filter(([, outcome]) => outcome !== 'passed'));

console.log('| client | checks | passed on Berth | on containerd |\n|---|---|---|---|');
const list = clients.map((client) => {
  const [berth, containerd] = [of(client, /^Berth/), of(client, /^containerd/)];
  const checks = [...new Set([...Object.keys(berth), ...Object.keys(containerd)])];
  console.log(`| ${client} | ${checks.length} | ${passed(berth)} | ${passed(containerd)} |`);
  return { client, checks, notPassed: { berth: notPassed(berth), containerd: notPassed(containerd) } };
});
writeFileSync(file, `${JSON.stringify(list, undefined, 1)}\n`);

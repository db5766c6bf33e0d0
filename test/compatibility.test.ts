// The table of docs/compatibility.md against the generated services and the files that it names.
import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import type { DescFile } from '@bufbuild/protobuf';
import { top } from './kit/paths.ts';

interface Row {
  /** `containerd.services.images.v1.Images.Get`. */
  readonly method: string;
  /** The test, or the calls that `test/differential` makes. */
  readonly file: string;
  /** How it is called there, as it stands in the file. */
  readonly call: string;
}

const heading = '## Every method, and what drives it';
const rows = (/** the whole document */ text: string): Row[] =>
  (text.split(`${heading}\n`)[1]?.split('\n## ')[0] ?? '')
    .split('\n')
    .map((line) => /^\| ([\w.]+) \| `([^`]+)` \| `([^`]+)` \|$/.exec(line))
    .flatMap((found) => {
      const [, method, file, call] = found ?? [];
      return method === undefined || file === undefined || call === undefined ? [] : [{ method, file, call }];
    });

const table = rows(readFileSync(join(top, 'docs/compatibility.md'), 'utf8'));

/** Every method of the services that berthd serves for containerd's clients. */
async function served(): Promise<string[]> {
  const dir = join(top, 'src/gen/containerd/services');
  const paths = readdirSync(dir, { recursive: true, encoding: 'utf8' }).filter((p) => p.endsWith('_pb.ts'));
  const modules: Record<string, unknown>[] = await Promise.all(paths.map((path) => import(join(dir, path))));
  const files = modules.flatMap((all) =>
    Object.entries(all).flatMap(([name, desc]) => (name.startsWith('file_') ? [desc as DescFile] : [])),
  );
  return files.flatMap(({ services }) =>
    services.flatMap(({ typeName, methods }) => methods.map(({ name }) => `${typeName}.${name}`)),
  );
}

test('docs/compatibility.md has a row for each method of each service, and for none else', async () => {
  const methods = await served();
  assert.ok(methods.length > 80, `only ${methods.length} methods are generated`);
  assert.deepEqual(table.map(({ method }) => method).sort(), methods.sort());
});

test('the files it names are tests, or calls of the differential test, and make the call', () => {
  for (const { method, file, call } of table) {
    assert.match(file, /^(src|test)\/[\w/-]+\.test\.ts$|^test\/differential\/calls\/[\w-]+\.ts$/, method);
    assert.ok(existsSync(join(top, file)), `${method}: there is no ${file}`);
    assert.ok(
      readFileSync(join(top, file), 'utf8').includes(call),
      `${method}: ${file} does not call ${call}`,
    );
    assert.ok(namesMethod(method, call), `${method}: ${call} is no call of it`);
  }
});

/** `store.get(`, `maker(Images, 'get'`; the ttrpc service is called by `berthd publish`. */
function namesMethod(method: string, call: string): boolean {
  const [service = '', name = ''] = method.split('.').slice(-2);
  if (method === 'containerd.services.events.ttrpc.v1.Events.Forward') return call.includes("'publish'");
  const made = new RegExp(`^maker\\(${service}, '${name}'$`, 'i');
  const called = new RegExp(`\\b${service}(\\(\\))?\\.${name}\\($`, 'i');
  const shortened = new RegExp(`^introspect\\(\\)\\.${name}\\($`, 'i');
  return made.test(call) || called.test(call) || (service === 'Introspection' && shortened.test(call));
}

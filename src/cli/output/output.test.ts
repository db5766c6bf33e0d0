import assert from 'node:assert/strict';
import { test } from 'node:test';
import { coloursFor } from './colours.ts';
import { formatObject, formatRows } from './print.ts';
import { compileTemplate } from './template.ts';
import { ago, cut, humanSize, printable, shortId } from './text.ts';

const row = { ID: 'abc', Names: 'web', Labels: { 'a.b': 'c' }, Layers: [1, 2], State: { Pid: 7 } };

test('templates know fields, functions and escapes', () => {
  const table: Record<string, string> = {
    '{{.ID}}': 'abc',
    '{{ .ID }}:{{.Names}}': 'abc:web',
    '{{.State.Pid}}': '7',
    '{{json .Layers}}': '[1,2]',
    '{{json .}}': JSON.stringify(row),
    '{{len .Layers}}\\t{{upper .Names}}': '2\tWEB',
    '{{join .Layers ", "}}': '1, 2',
    '{{index .Labels "a.b"}}': 'c',
    '{{truncate .ID 2}}': 'ab',
    '{{.Labels}}': '{"a.b":"c"}',
    plain: 'plain',
  };
  for (const [text, expected] of Object.entries(table))
    assert.equal(compileTemplate(text)(row), expected, text);
});

test('templates that are not understood say what is', () => {
  assert.throws(() => compileTemplate('{{range .}}x{{end}}'), /json, len/);
  assert.throws(() => compileTemplate('{{.ID'), /open \{\{/);
  assert.throws(() => compileTemplate('{{.Nope}}')(row), /there are: ID, Names/);
  assert.throws(() => compileTemplate('{{.ID.x}}')(row), /names the field x/);
  assert.throws(() => compileTemplate('{{.__proto__}}')(Object.create(null)), /names the field/);
});

test('rows come as a table, JSON lines, template lines or a template table', async () => {
  const columns = [
    { head: 'ID', show: (one: typeof row) => one.ID },
    { head: 'NAMES', show: (one: typeof row) => one.Names },
  ];
  const plain = { json: false, format: undefined };
  assert.equal(await formatRows(plain, columns, [row]), 'ID    NAMES\nabc   web\n');
  assert.equal(await formatRows(plain, columns, []), 'ID   NAMES\n');
  assert.equal(
    await formatRows({ json: true, format: undefined }, columns, [row]),
    `${JSON.stringify(row)}\n`,
  );
  assert.equal(await formatRows({ json: false, format: '{{.ID}}' }, columns, [row, row]), 'abc\nabc\n');
  const table = await formatRows({ json: false, format: 'table {{.Names}}\\t{{.ID}}' }, columns, [row]);
  assert.equal(table, 'NAMES   ID\nweb     abc\n');
  assert.equal(formatObject(plain, row), undefined);
  assert.equal(formatObject({ json: true, format: undefined }, { n: 3n }), '{"n":"3"}\n');
});

test('what others chose cannot drive the terminal', async () => {
  assert.equal(printable('a\x1b[2Jb\n\x9b'), 'a\\x1b[2Jb\\x0a\\x9b');
  const columns = [{ head: 'N', show: (one: { n: string }) => one.n }];
  const text = await formatRows({ json: false, format: undefined }, columns, [{ n: '\x1b]0;x\x07' }]);
  assert.equal(text.includes('\x1b'), false);
});

test('colours are off without a terminal, with NO_COLOR and on dumb terminals', () => {
  const red = (isTTY: boolean, env: Record<string, string>) => coloursFor({ isTTY }, env).red('x');
  assert.notEqual(red(true, {}), 'x');
  for (const env of [{ NO_COLOR: '1' }, { TERM: 'dumb' }]) assert.equal(red(true, env), 'x');
  assert.equal(red(false, {}), 'x');
});

test('sizes, ages and ids are short', () => {
  assert.equal(humanSize(0), '0B');
  assert.equal(humanSize(77_800_000), '77.8MB');
  assert.equal(humanSize(1_234), '1.23kB');
  assert.equal(ago(new Date(0), 61_000), '1 minute ago');
  assert.equal(ago(new Date(5), 0), 'less than a second ago');
  assert.equal(shortId(`sha256:${'ab'.repeat(32)}`), 'abababababab');
  assert.equal(cut('abcdef', 4), 'abc…');
});

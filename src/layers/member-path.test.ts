import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isKind } from '../errors/error.ts';
import { parseMemberPath, splitPath, toPath, whiteoutOf } from './member-path.ts';

const pathOf = (name: string) => parseMemberPath(name)?.path;
const kindOfName = (name: string) => {
  const member = parseMemberPath(name);
  return member && whiteoutOf(member)?.kind;
};

test('names are cleaned as paths from the root of the layer', () => {
  const cases = {
    'a/b': 'a/b',
    './a//b/': 'a/b',
    '/a': 'a',
    'a/../b': 'b',
    'a/./b/.': 'a/b',
    '..a/b..': '..a/b..',
  };
  for (const [name, path] of Object.entries(cases)) assert.equal(pathOf(name), path);
  for (const root of ['', '.', './', '/', 'a/..']) assert.equal(parseMemberPath(root), undefined);
  assert.deepEqual(splitPath('a/b/c'), { directory: 'a/b', base: 'c' });
  assert.deepEqual(splitPath('a'), { directory: '', base: 'a' });
});

test('names that climb out are refused', () => {
  for (const name of ['..', '../a', 'a/../../b', '/..', './../a'])
    assert.throws(
      () => parseMemberPath(name),
      (error) => isKind(error, 'invalid_argument'),
    );
});

test('whiteouts are told by name', () => {
  assert.deepEqual(whiteoutOf({ directory: 'd', base: '.wh.a', path: 'd/.wh.a' }), {
    kind: 'whiteout',
    hidden: 'a',
  });
  const cases = {
    'd/.wh..wh..opq': 'opaque',
    '.wh..wh.plnk/1': 'ignored',
    '.wh..wh.orph': 'ignored',
    '.wh..hidden': 'whiteout',
    '.wh....': 'whiteout',
    'd/.wha': undefined,
    'd/x.wh.a': undefined,
  };
  for (const [name, kind] of Object.entries(cases)) assert.equal(kindOfName(name), kind, name);
  for (const name of ['.wh.', 'a/.wh..', '.wh...', '.wh.a/b', 'a/.wh.b/c/d'])
    assert.throws(
      () => kindOfName(name),
      (error) => isKind(error, 'invalid_argument'),
      name,
    );
});

test('bytes that are not ASCII reach the kernel unchanged', () => {
  assert.equal(toPath('plain'), 'plain');
  assert.deepEqual(toPath('\xe9\xff'), Buffer.from([0xe9, 0xff]));
});

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { kindOf, messageOf } from '../errors/error.ts';
import { fillIn } from './template.ts';

const active = ['/a', '/b', '/c'].map((mountPoint, i) => ({
  type: 'bind',
  source: `s${i}`,
  target: `t${i}`,
  options: [],
  mountPoint,
  mountedAt: new Date(0),
}));

test('functions of earlier mounts are filled in', () => {
  const cases: [string, string][] = [
    ['plain }} text', 'plain }} text'],
    ['{{ source 0 }}{{target 1}}/{{ mount 2 }}', 's0t1//c'],
    ['lowerdir={{ overlay 2 0 }}', 'lowerdir=/c:/b:/a'],
    ['{{ overlay 0 1 }}', '/a:/b'],
    ['{{ mount 0x1 }}', '/b'],
    ['x {{- mount 0 -}} y', 'x/ay'],
    ['{{/* nothing */}}z{{ "q\\"" }}{{ `r` }}', 'zq"r'],
  ];
  for (const [text, filled] of cases) assert.equal(fillIn(text, active), filled, text);
});

test('what cannot be filled in is said in the words of Go', () => {
  const cases: [string, string][] = [
    [
      '{{ mount 5 }}',
      ':1:3: executing "" at <mount 5>: error calling mount: index out of bounds: 5, has 3 active mounts',
    ],
    [
      'é\n{{mount -1}}',
      ':2:2: executing "" at <mount -1>: error calling mount: index out of bounds: -1, has 3 active mounts',
    ],
    [
      '{{ overlay 0 9 }}',
      ':1:3: executing "" at <overlay 0 9>: error calling overlay: invalid range: 0-9, has 3 active mounts',
    ],
    ['{{ mount }}', ':1:3: executing "" at <mount>: wrong number of args for mount: want 1 got 0'],
    ['{{ mount "a" }}', ':1:9: executing "" at <"a">: expected integer; found "a"'],
    ['{{ constructor 0 }}', ':1: function "constructor" not defined'],
    ['{{ mount 0', ':1: unclosed action'],
    ['{{ }}', ':1: missing value for command'],
    ['{{mount 99999999999999999999}}', ':1: integer overflow: "99999999999999999999"'],
  ];
  for (const [text, words] of cases)
    assert.throws(
      () => fillIn(text, active),
      (error) => kindOf(error) === 'unknown' && messageOf(error) === `template: ${words}`,
      text,
    );
});

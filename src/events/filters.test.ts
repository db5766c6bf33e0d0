import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { isKind } from '../errors/error.ts';
import { type Adapt, compileFilters } from './filters.ts';

interface Thing {
  name: string;
  other?: string;
  labels?: Record<string, string>;
}

const things: Thing[] = [
  { name: 'a', labels: { role: 'web' } },
  { name: 'b' },
  { name: 'a', labels: { role: 'db', 'with space': 'yes' } },
  { name: 'c', labels: { 'sla\\sh "q"': 'yes', 'io.x/y': '1' }, other: 'one, two' },
  { name: '牛', other: 'docker.io/library/busybox:1' },
];

const adapt =
  (thing: Thing): Adapt =>
  ([first, ...rest]) => {
    if (first === 'name') return thing.name;
    if (first === 'other') return thing.other;
    return first === 'labels' ? thing.labels?.[rest.join('.')] : undefined;
  };

const matching = (...filters: string[]) => {
  const filter = compileFilters(filters);
  return things.flatMap((thing, i) => (filter(adapt(thing)) ? [i] : []));
};

describe('filters', () => {
  const cases: [filters: string[], matches: number[]][] = [
    [[], [0, 1, 2, 3, 4]],
    [[''], [0, 1, 2, 3, 4]],
    [['name'], [0, 1, 2, 3, 4]],
    [['nothing'], []],
    [['labels.role'], [0, 2]],
    [['name==a'], [0, 2]],
    [['name!=a'], [1, 3, 4]],
    [['other!=x'], [0, 1, 2, 3, 4]],
    [['other==""'], []],
    [['name==a,labels.role==db'], [2]],
    [
      ['name==b', 'labels.role==db'],
      [1, 2],
    ],
    [['name == b, other != z'], [1]],
    [['labels."with space"'], [2]],
    [['labels."sla\\\\sh \\"q\\""==yes'], [3]],
    [['labels."io.x/y"==1'], [3]],
    [['labels.io."x/y"==1'], [3]],
    [['other=="one, two"'], [3]],
    [['other==docker.io/library/busybox:1'], [4]],
    [['other~=^docker\\.io/'], [4]],
    [['other~=/^docker[.]io\\//'], [4]],
    [['other~=|^docker[.]io/|'], [4]],
    [['name~=/^[ab]{1,2}$/,labels.role'], [0, 2]],
    [['name~=牛'], [4]],
    [['name=="\\u725b"'], [4]],
    [['name=="\\x61"'], [0, 2]],
  ];
  for (const [filters, matches] of cases)
    it(`${JSON.stringify(filters)} selects ${JSON.stringify(matches)}`, () => {
      assert.deepEqual(matching(...filters), matches);
    });

  const refused: [filter: string, message: string][] = [
    ['labels.|foo|==x', '[labels. >|||< foo|==x]: invalid quote encountered'],
    ['labels.?"a"==x', '[labels. >|?|< "a"==x]: expected field or quoted'],
    ['name==foo,', '[name==foo,]: expected field or quoted'],
    ['labels.', '[labels.]: expected field or quoted'],
    ['image~=,id?=?x', '[image~= >|,|< id?=?x]: expected value or quoted'],
    ['labels.ns/key==v', '[labels.ns >|/|< key==v]: quoted literal not terminated'],
    ['labels.key==/value', '[labels.key== >|/|< value]: quoted literal not terminated'],
    ['a==1,type=b', '[a==1,type >|=|< b]: unsupported operator "="'],
    ['labels."\\g"', '[labels. >|"|< \\g"]: illegal escape sequence'],
    ['labels."\\xaz"', '[labels. >|"|< \\xaz"]: illegal numeric escape sequence'],
    ['labels."\\', '[labels. >|"|< \\]: illegal escape sequence'],
    ['labels."\0"', '[labels. >|"|< \0"]: unexpected null'],
    [' ', '[ ]: expected field or quoted'],
    ['name==.a', '[name== >|.|< a]: expected value or quoted'],
    ['名==a', '[ >|名|< ==a]: expected field or quoted'],
    ['name==a b', '[name==a >| |< b]: unexpected input:  '],
    ['name==a ,b', '[name==a >| |< ,b]: unexpected input:  '],
    ['labels .a', '[labels  >|.|< a]: expected an operator ("=="|"!="|"~=")'],
    ['name==|a|', '[name== >|||< a|]: invalid quote encountered'],
    ['name b', '[name  >|b|< ]: expected an operator ("=="|"!="|"~=")'],
    ['foo\0bar', '[foo >|\0|< bar]: unexpected null'],
  ];
  for (const [filter, message] of refused)
    it(`refuses ${JSON.stringify(filter)} in containerd's words`, () => {
      assert.throws(
        () => compileFilters([filter]),
        (e) => isKind(e, 'invalid_argument') && (e as Error).message === `filters: parse error: ${message}`,
      );
    });

  it('refuses too much', () => {
    assert.throws(() => compileFilters(Array.from({ length: 1001 }, () => 'a')), /more than 1000/);
    assert.throws(() => compileFilters([`a==${'x'.repeat(70_000)}`]), /longer than/);
  });
});

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { compileRegexp } from './regexp.ts';

describe('regular expressions from outside', () => {
  const cases: [pattern: string, matches: string[], not: string[]][] = [
    ['', ['', 'x'], []],
    ['a', ['a', 'bab'], ['', 'b']],
    ['^/tasks/', ['/tasks/exit'], ['x/tasks/']],
    ['^(a|bc)*$', ['', 'abca'], ['ab']],
    ['^[^a-c]+$', ['xyz'], ['xa', '']],
    ['^[]a]$', [']', 'a'], ['b']],
    ['^[a-]$', ['-', 'a'], ['b']],
    ['^\\d{2,3}$', ['12', '123'], ['1', '1234', 'ab']],
    ['^a{2}$', ['aa'], ['a', 'aaa']],
    ['^a{2,}$', ['aa', 'aaaa'], ['a']],
    ['^a{,2}$', ['a{,2}'], ['aa']],
    ['^\\w+\\.\\W$', ['ab.!'], ['ab..x']],
    ['\\bfoo\\b', ['a foo b'], ['afoo']],
    ['(?i)FoO', ['xfOo'], ['f']],
    ['(?i:a)b', ['Ab'], ['AB']],
    ['(?m)^b$', ['a\nb\nc'], ['ab']],
    ['a.b', ['axb'], ['a\nb']],
    ['(?s)a.b', ['a\nb'], []],
    ['^.$', ['牛', '😀'], ['ab']],
    ['(?P<n>x)(?:y)?z', ['xz', 'xyz'], ['yz']],
    ['[[:alpha:]]+[[:digit:]]', ['a1'], ['1a']],
    ['[^\\d]', ['a'], ['1']],
    ['[\\D1]', ['a', '1'], ['2']],
    ['a*?b+?', ['b'], ['a']],
    ['\\x41\\x{1F600}', ['A😀'], ['A']],
    ['\\101\\0', ['A\0'], ['A']],
    ['\\Aab\\z', ['ab'], ['ab\n']],
    ['(|a)+$', ['', 'aaa'], []],
  ];
  for (const [pattern, matches, not] of cases)
    it(`/${pattern}/ means what RE2 means`, () => {
      const test = compileRegexp(pattern);
      for (const text of matches) assert.equal(test(text), true, text);
      for (const text of not) assert.equal(test(text), false, text);
    });

  const refused = [
    '(',
    ')',
    '[',
    '[b-a]',
    '*',
    'a**',
    '(?=a)',
    '(?<!a)',
    '\\1',
    '\\',
    'a{1001}',
    'a{2,1}',
  ].concat('(((a{100}){100}){100})', 'x'.repeat(2000), '('.repeat(100), '\\pL', '[[:nope:]]');
  for (const pattern of refused)
    it(`refuses ${pattern.slice(0, 30)}`, () => {
      assert.throws(() => compileRegexp(pattern), { name: 'BerthError', kind: 'invalid_argument' });
    });

  it('needs time in proportion to the text, whatever the pattern', () => {
    const started = performance.now();
    for (const pattern of ['^(a+)+$', '^(a|a)*$', '(a*)*b', '(.*)*x$', '^(([a-z])+.)+[A-Z]([a-z])+$'])
      assert.equal(compileRegexp(pattern)(`${'a'.repeat(4096)}!`), false);
    assert.ok(performance.now() - started < 1000);
  });

  it('gives up on what takes too long', () => {
    const started = performance.now();
    for (const pattern of ['(a?){600}b', `(?i)${'(a|b|c|d)*'.repeat(60)}0`])
      assert.throws(() => compileRegexp(pattern)('a'.repeat(1e6)), { kind: 'resource_exhausted' });
    assert.ok(performance.now() - started < 1000);
  });

  it('agrees with the built-in engine where both speak the same syntax', () => {
    const atom = fc.constantFrom('a', 'b', '.', '[ab]', '[^a]', '^', '$', '\\b');
    const tree = fc.letrec<{ node: string }>((tie) => ({
      node: fc.oneof(
        { maxDepth: 4 },
        atom,
        fc.tuple(tie('node'), tie('node')).map(([a, b]) => `(?:${a}|${b})`),
        fc.tuple(tie('node'), tie('node')).map(([a, b]) => a + b),
        fc.tuple(tie('node'), fc.constantFrom('*', '+', '?', '{0,2}')).map(([a, q]) => `(?:${a})${q}`),
      ),
    })).node;
    fc.assert(
      fc.property(tree, fc.stringMatching(/^[abc\n]{0,6}$/), (pattern, text) => {
        assert.equal(compileRegexp(pattern)(text), new RegExp(pattern).test(text));
      }),
      { numRuns: 500 },
    );
  });
});

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { parseEnv, parseEnvFile, parseLabels } from './env.ts';
import { hasLabels, parseFilters, passes } from './filter.ts';
import { parseMount, parseTmpfs, parseVolume } from './mount.ts';
import { parseSignal } from './signal.ts';
import { parseCount, parseCpus, parseSize } from './size.ts';
import { parseMoment } from './time.ts';

const invalid = { kind: 'invalid_argument' };

describe('sizes and counts', () => {
  test('sizes are powers of 1024 with units as docker has them', () => {
    const table: Record<string, number> = {
      '512m': 512 << 20,
      '1.5g': 1.5 * 2 ** 30,
      '64KiB': 65536,
      '64kb': 65536,
      '1024': 1024,
      '7b': 7,
      '1t': 2 ** 40,
    };
    for (const [text, bytes] of Object.entries(table)) assert.equal(parseSize(text), bytes, text);
    for (const text of ['', 'm', '1x', '-1m', '1e9', '9999999p', '1 2', 'NaN', '0x10']) {
      assert.throws(() => parseSize(text), invalid, text);
    }
  });

  test('CPUs are thousandths', () => {
    assert.equal(parseCpus('1.5'), 1500);
    assert.equal(parseCpus('.25'), 250);
    assert.equal(parseCpus('0.001'), 1);
    for (const text of ['0', '-1', 'two', '1e3', '']) assert.throws(() => parseCpus(text), invalid, text);
  });

  test('counts have a lower bound', () => {
    assert.equal(parseCount('-1', 'n', -1), -1);
    for (const text of ['-2', '1.5', '', '1e2'])
      assert.throws(() => parseCount(text, 'n', -1), invalid, text);
  });
});

describe('mounts', () => {
  test('a volume binds a host path, relative ones from the current directory', () => {
    assert.deepEqual(parseVolume('/a:/b', '/cwd'), {
      type: 'bind',
      source: '/a',
      destination: '/b',
      options: ['rbind', 'rprivate', 'rw'],
    });
    assert.equal(parseVolume('./x:/b', '/cwd').source, '/cwd/x');
    assert.deepEqual(parseVolume('/a:/b:ro,rslave,z', '/').options, ['rbind', 'ro', 'rslave']);
  });

  test('malformed volumes are refused, with what is wrong', () => {
    const table: Record<string, RegExp> = {
      'data:/b': /named volumes/,
      '/a': /host-path:container-path/,
      '/a:b': /absolute/,
      '/a:/b:frob': /unknown option "frob"/,
      '/a:/b:ro:x': /too many colons/,
      ':/b': /host-path/,
    };
    for (const [text, message] of Object.entries(table))
      assert.throws(() => parseVolume(text, '/'), message, text);
  });

  test('the long form knows bind and tmpfs', () => {
    const bind = parseMount('type=bind,src=/a,dst=/b,readonly,bind-propagation=shared', '/');
    assert.deepEqual(bind.options, ['rbind', 'ro', 'shared']);
    const tmpfs = parseMount('type=tmpfs,target=/t,tmpfs-size=64m,tmpfs-mode=1777', '/');
    assert.deepEqual(tmpfs.options, ['nosuid', 'nodev', 'noexec', 'size=64m', 'mode=1777']);
    assert.deepEqual(parseTmpfs('/run:size=1m').options, ['nosuid', 'nodev', 'noexec', 'size=1m']);
  });

  test('malformed long mounts are refused, with what is wrong', () => {
    const table: Record<string, RegExp> = {
      'type=volume,source=x,target=/b': /type "volume"/,
      'source=/a,target=/b': /type "volume"/,
      'type=bind,target=/b': /needs source/,
      'type=bind,source=/a': /absolute/,
      'type=bind,source=/a,target=/b,frob=1': /unknown key "frob"/,
      'type=bind,source=/a,target=/b,readonly=maybe': /true or false/,
      'type=tmpfs,source=/a,target=/b': /no source/,
    };
    for (const [text, message] of Object.entries(table))
      assert.throws(() => parseMount(text, '/'), message, text);
  });
});

describe('environment and labels', () => {
  test('a bare name takes the value it has here and is dropped without one', () => {
    assert.equal(parseEnv('A=1=2', {}), 'A=1=2');
    assert.equal(parseEnv('A', { A: 'x' }), 'A=x');
    assert.equal(parseEnv('A', {}), undefined);
    for (const text of ['', '=x', 'a b=c', 'A=\0']) assert.throws(() => parseEnv(text, {}), invalid);
  });

  test('an env file skips comments, keeps quotes, and errors name the line', () => {
    const text = '\uFEFF# comment\n\nA=1\r\n  B="q # x"\nC\n';
    assert.deepEqual(parseEnvFile(text, 'f', { C: 'c' }), ['A=1', 'B="q # x"', 'C=c']);
    assert.throws(() => parseEnvFile('A=1\n=2\n', 'my.env', {}), /my\.env:2/);
  });

  test('labels may lack a value but not a key', () => {
    assert.deepEqual(parseLabels(['a=b=c', 'd']), { a: 'b=c', d: '' });
    assert.throws(() => parseLabels(['=x']), invalid);
  });
});

test('signals have names, numbers and real-time offsets', () => {
  const table: Record<string, number> = {
    TERM: 15,
    sigkill: 9,
    '9': 9,
    'RTMIN+3': 37,
    RTMAX: 64,
    'SIGRTMAX-1': 63,
  };
  for (const [text, number] of Object.entries(table)) assert.equal(parseSignal(text), number, text);
  for (const text of ['0', '65', 'FOO', '', '-9', 'RTMIN+99'])
    assert.throws(() => parseSignal(text), invalid, text);
});

test('a moment is a duration ago, a date or Unix seconds', () => {
  assert.equal(parseMoment('1h30m', 10_000_000).getTime(), 10_000_000 - 5_400_000);
  assert.equal(parseMoment('1700000000').getTime(), 1_700_000_000_000);
  assert.equal(parseMoment('2026-01-31T12:00:00Z').toISOString(), '2026-01-31T12:00:00.000Z');
  for (const text of ['', 'soon', '10x']) assert.throws(() => parseMoment(text), invalid, text);
});

test('filters of one key are alternatives, labels must all hold, unknown keys are refused', () => {
  const filters = parseFilters(['name=a', 'name=b', 'label=k=v', 'label=m'], ['name', 'label']);
  assert.equal(
    passes(filters, 'name', (value) => value === 'b'),
    true,
  );
  assert.equal(
    passes(filters, 'name', (value) => value === 'c'),
    false,
  );
  assert.equal(
    passes(filters, 'id', () => false),
    true,
  );
  assert.equal(hasLabels(filters, { k: 'v', m: '' }), true);
  assert.equal(hasLabels(filters, { k: 'v' }), false);
  assert.throws(() => parseFilters(['frob=1'], ['name', 'label']), /one of name, label/);
  assert.throws(() => parseFilters(['name'], ['name']), invalid);
});

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isKind } from '../../errors/error.ts';
import { applyChanges } from './image-changes.ts';

const table: readonly (readonly [line: string, process: object])[] = [
  ['CMD ["a", "b c"]', { Cmd: ['a', 'b c'] }],
  ['cmd echo $HOME', { Cmd: ['/bin/sh', '-c', 'echo $HOME'] }],
  ['ENTRYPOINT ["/e"]', { Entrypoint: ['/e'] }],
  ['ENV A=1 B="two words" C=three\\ words', { Env: ['A=1', 'B=two words', 'C=three words'] }],
  ['ENV OLD form with = sign', { Env: ['OLD=form with = sign'] }],
  ['LABEL x.y=\'z\' "a b"=c', { Labels: { 'x.y': 'z', 'a b': 'c' } }],
  ['EXPOSE 80 53/udp', { ExposedPorts: { '80/tcp': {}, '53/udp': {} } }],
  ['VOLUME ["/v"]', { Volumes: { '/v': {} } }],
  ['USER 1000:1000', { User: '1000:1000' }],
  ['WORKDIR rel', { WorkingDir: '/rel' }],
  ['STOPSIGNAL SIGINT', { StopSignal: 'SIGINT' }],
];
for (const [line, expected] of table)
  test(`${line} changes what the image starts`, () => assert.deepEqual(applyChanges({}, [line]), expected));

test('changes add to what is there, and the last one wins', () => {
  const base = {
    Env: ['PATH=/bin', 'A=0'],
    Cmd: ['old'],
    WorkingDir: '/srv',
    Other: 1,
    Labels: { keep: 'me' },
  };
  const changed = applyChanges(base, ['ENV A=1', 'WORKDIR sub', 'LABEL l=1', 'ENTRYPOINT ["e"]']);
  assert.deepEqual(changed, {
    Env: ['PATH=/bin', 'A=1'],
    WorkingDir: '/srv/sub',
    Other: 1,
    Labels: { keep: 'me', l: '1' },
    Entrypoint: ['e'],
  });
  assert.deepEqual(applyChanges(base, ['ENTRYPOINT ["e"]', 'CMD ["c"]']).Cmd, ['c']);
});

for (const line of [
  '',
  'RUN x',
  'CMD',
  'CMD [1]',
  'CMD ["open"',
  'ENV novalue',
  'ENV A=1 "',
  'EXPOSE http',
  'LABEL =x',
])
  test(`refuses ${JSON.stringify(line)}`, () =>
    assert.throws(
      () => applyChanges({}, [line]),
      (e) => isKind(e, 'invalid_argument'),
    ));

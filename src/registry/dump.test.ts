import assert from 'node:assert/strict';
import type { IncomingMessage } from 'node:http';
import { test } from 'node:test';
import { dumpOf } from './dump.ts';
import { defaultTls } from './host.ts';

test('a dump tells what was asked and answered, and nothing that lets anybody in', () => {
  const request = {
    method: 'GET',
    url: new URL('https://cdn.example/blob?ns=docker.io&X-Amz-Signature=s3cret'),
    headers: { accept: 'a/b', authorization: 'Bearer s3cret', 'x-gate': 's3cret' },
    tls: defaultTls,
    dialTimeoutMs: 1,
  } as const;
  const headers = { location: 'https://x/?token=s3cret', 'set-cookie': ['id=s3cret'], server: 'a\u0007b' };
  const text = dumpOf(request, { status: 307, headers, url: request.url, body: {} as IncomingMessage });
  assert.equal(
    text,
    [
      '> GET https://cdn.example/blob?ns=docker.io&X-Amz-Signature=…',
      '> accept: a/b',
      '> authorization: (hidden)',
      '> x-gate: (hidden)',
      '< 307',
      '< location: (hidden)',
      '< set-cookie: (hidden)',
      '< server: a b',
      '',
      '',
    ].join('\n'),
  );
});

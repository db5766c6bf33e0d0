import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { connectEndpoint, isDeadShim } from './shim-link.ts';

const dir = mkdtempSync(join(tmpdir(), 'berth-shim-link-'));
after(() => rmSync(dir, { recursive: true }));

for (const protocol of [undefined, 'grpc'] as const) {
  const name = protocol ?? 'ttrpc';
  const path = join(dir, name);
  const endpoint = { version: 3, path, ...(protocol && { protocol }) } as const;
  const connecting = () => connectEndpoint(endpoint, 5_000);

  test(`${name}: a shim that ends while one connects to it is dead`, async () => {
    const server = createServer().listen(path);
    await once(server, 'listening');
    const connection = connecting();
    // Nobody has accepted yet: the kernel resets the connection.
    server.close();
    await assert.rejects(connection, isDeadShim);
  });

  test(`${name}: one that is not there is dead`, async () => {
    await assert.rejects(connecting(), isDeadShim);
  });
}

import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import type { TestRegistryOptions } from '../kit/registry.ts';
import { type Client, ClientStage, clients, type Generation, generationOf } from './table.ts';

const login = { username: 'me', password: 'secret' };
const refused = /401 Unauthorized|unauthenticated|authorization failed|no basic auth/i;
const distrusted = /x509|certificate|self.signed/i;

interface Pull {
  readonly flags: string;
  /** Shown when it must fail; left out, it must work. */
  readonly refusal?: RegExp;
  readonly only?: Generation;
}

const overHttp: Readonly<Record<string, Pull>> = {
  'without a login': { flags: '--plain-http', refusal: refused },
  'with a wrong password': { flags: '--plain-http -u me:wrong', refusal: refused },
  'with an unknown user': { flags: '--plain-http -u you:secret', refusal: refused },
  'with the login': { flags: '--plain-http -u me:secret' },
};

/** ctr 1 speaks HTTP with a loopback registry unless a hosts.toml says otherwise; ctr 2's Transfer call carries no certificate. */
const overTls: Readonly<Record<string, Pull>> = {
  'with a --hosts-dir that vouches for no certificate': {
    flags: '--hosts-dir $DIR/bare.d -u me:secret',
    refusal: distrusted,
  },
  'with --tlscacert and no login': { flags: '--local --tlscacert $DIR/ca.pem', refusal: refused, only: 'v2' },
  'with --tlscacert and the login': { flags: '--local --tlscacert $DIR/ca.pem -u me:secret', only: 'v2' },
  'with --skip-verify and the login': { flags: '--local -k -u me:secret', only: 'v2' },
  'with --hosts-dir and no login': { flags: '--hosts-dir $DIR/certs.d', refusal: refused },
  'with --hosts-dir and a wrong password': {
    flags: '--hosts-dir $DIR/certs.d -u me:wrong',
    refusal: refused,
  },
  'with --hosts-dir and the login': { flags: '--hosts-dir $DIR/certs.d -u me:secret' },
};

/** Hosts directories that ask for TLS: `certs.d` with the registry's certificate authority, `bare.d` without. */
function writeHosts({ registry }: Pick<ClientStage, 'registry'>): void {
  const settings = { 'certs.d': `ca = "${registry.caFile}"\n`, 'bare.d': '' };
  for (const [name, ca] of Object.entries(settings)) {
    const dir = join(registry.dir, name, registry.host);
    mkdirSync(dir, { recursive: true });
    const server = `https://${registry.host}`;
    // ctr 1 wants a host table, too.
    writeFileSync(join(dir, 'hosts.toml'), `server = "${server}"\n[host."${server}"]\n${ca}`);
  }
}

function pullsFrom(options: TestRegistryOptions, pulls: Readonly<Record<string, Pull>>): void {
  let stage: Awaited<ReturnType<typeof ClientStage.openPeer>>;
  before(async () => {
    stage = await ClientStage.openPeer(options);
    if (options.tls === true) writeHosts(stage);
  });
  after(() => stage[Symbol.asyncDispose]());
  for (const client of Object.keys(clients) as Client[]) {
    const generation = generationOf(client);
    for (const [name, { flags, refusal, only = generation }] of Object.entries(pulls)) {
      if (only !== generation) continue;
      test(`ctr ${client} ${name}: ${refusal === undefined ? 'works' : 'is refused'}`, async () => {
        const { status, shown } = await stage.line(client, `$C images pull ${flags} $IMG`);
        const left = await stage.line(
          client,
          '$C images rm --sync $IMG >/dev/null 2>&1; $C images ls -q; $C content ls -q',
        );
        assert.equal(left.shown, '');
        if (refusal === undefined) assert.equal(status, 0, shown);
        else assert.match(shown, refusal);
        assert.equal(status === 0, refusal === undefined);
        assert.equal(shown.includes('secret'), false);
      });
    }
  }
  test('nothing is half-made or left behind, and no password is in the log', async () => {
    assert.deepEqual(await stage.violations(), []);
    assert.equal(/secret|bWU6c2VjcmV0/.test(stage.daemon.log()), false);
  });
}

describe('images pull from a registry with Basic auth over HTTP', () => pullsFrom({ login }, overHttp));
describe('images pull from a registry with Basic auth over TLS', () =>
  pullsFrom({ login, tls: true }, overTls));

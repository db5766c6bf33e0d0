import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { invalidArgument, messageOf } from '../errors/error.ts';
import type { RuntimeBinary } from './choose-runtime.ts';
import { withCriuConfig } from './criu-streams.ts';
import { lowerOciVersion } from './oci-version.ts';

/** Makes of a bundle's config.json what the runtime wants of it. @throws invalid_argument (it is not JSON) */
export function adaptSpec(bundle: string, runtime: RuntimeBinary): void {
  const path = join(bundle, 'config.json');
  const spec = lowerOciVersion(readSpec(path), runtime);
  writeFileSync(path, JSON.stringify(withCriuConfig(spec, bundle)), { mode: 0o600 });
}

function readSpec(path: string): object {
  try {
    return Object(JSON.parse(readFileSync(path, 'utf8'))) as object;
  } catch (error) {
    throw invalidArgument(`${path}: ${messageOf(error)}`, error);
  }
}

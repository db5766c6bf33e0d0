import { randomBytes, randomInt } from 'node:crypto';
import { invalidArgument } from '../errors/error.ts';

const adjectives =
  'able brave bright calm clear cool deep eager early fair fast fine fresh gentle glad grand keen kind light lively mild neat proud quick quiet ready sharp smooth solid steady still sunny swift tidy true warm wide wise'.split(
    ' ',
  );
const nouns =
  'anchor bay beacon boat bollard buoy canal cape coast cove crane current deck delta dock ferry fjord galley gull harbor hull island jetty keel kelp lagoon lantern locker mast oar pier port quay reef rope rudder sail sextant shoal sloop tide tug wave wharf'.split(
    ' ',
  );

/** 64 random hexadecimal digits. */
export const makeContainerId = (): string => randomBytes(32).toString('hex');

/** Something to call a container by, for example `calm_harbor_4821`. */
export const makeContainerName = (): string =>
  `${adjectives[randomInt(adjectives.length)]}_${nouns[randomInt(nouns.length)]}_${randomInt(1000, 10_000)}`;

/** Letters, digits, `_`, `.`, `-`, at most 128, as Docker has them. @throws invalid_argument */
export function checkedContainerName(name: string): string {
  if (/^[A-Za-z0-9][A-Za-z0-9_.-]{0,127}$/.test(name)) return name;
  throw invalidArgument(
    `container name ${JSON.stringify(name.slice(0, 100))}: want up to 128 letters, digits, '_', '.', '-'`,
  );
}

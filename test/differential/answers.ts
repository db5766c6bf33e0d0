import { isDeepStrictEqual } from 'node:util';
import type { Answer, Call } from './call.ts';
import { bare } from './words.ts';

/** A difference that is meant; docs/compatibility.md tells it in the same words. */
export interface Explained {
  readonly why: string;
  readonly covers: (call: Call, berth: Answer, containerd: Answer) => boolean;
}

export const sameButWords = (berth: Answer, containerd: Answer): boolean =>
  (berth.code === containerd.code || (berth.code !== 0 && containerd.code === 2)) &&
  isDeepStrictEqual(berth.messages, containerd.messages) &&
  bare(berth.text) === bare(containerd.text);

export const bothFail = (berth: Answer, containerd: Answer): boolean =>
  berth.code !== 0 && containerd.code !== 0;
export const bothSucceed = (berth: Answer, containerd: Answer): boolean =>
  berth.code === 0 && containerd.code === 0;

/** Both fail with the same code, and containerd's words match. */
export const told = (berth: Answer, containerd: Answer, pattern: RegExp): boolean =>
  berth.code === containerd.code && berth.code !== 0 && pattern.test(containerd.text);

export type Fields = Readonly<Record<string, unknown>>;

/** The answers without the named fields. */
export const without = (messages: readonly unknown[], ...names: string[]): Fields[] =>
  messages.map((message) =>
    Object.fromEntries(Object.entries(message as Fields).filter(([name]) => !names.includes(name))),
  );

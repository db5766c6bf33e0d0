import { describe, test } from 'node:test';
import { type Expected, shown } from '../lines.ts';
import type { Lack } from './machine.ts';
import { recorded } from './results.ts';
import type { DockerStage } from './stage.ts';

export interface Check extends Expected {
  readonly line: string;
  /** Where 20.10 shows something else. */
  readonly on20?: Partial<Expected>;
  /** What it shows where the machine lacks what it needs: then it must fail, on containerd as on Berth. `only`: of this generation alone. */
  readonly without?: Expected & { readonly lack: Lack; readonly only?: 28 | 20 };
}

export type Checks = Readonly<Record<string, Check>>;

/** A test for each; `concurrency` of them at a time. */
export function testChecks(name: string, stage: () => DockerStage, checks: Checks, concurrency = 4): void {
  describe(name, { concurrency }, () => {
    for (const [title, check] of Object.entries(checks)) test(title, () => runCheck(stage(), title, check));
  });
}

let count = 0;

async function runCheck(
  stage: DockerStage,
  title: string,
  { line, without, on20, ...expected }: Check,
): Promise<void> {
  const { generation } = stage;
  const lacks = without?.lack.here === true && (without.only ?? generation) === generation;
  const wanted = lacks ? without : generation === 20 ? { ...expected, ...on20 } : expected;
  // Docker's filters look for part of a name: no other check's name holds this one, nor does a name of hex digits.
  const name = `c${++count}x`;
  const passed = lacks ? (`limit of the machine: ${without.lack.why}` as const) : 'passed';
  await recorded(title, async () => shown(await stage.line(name, line), wanted), passed);
}

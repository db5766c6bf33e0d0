import { readdirSync, readFileSync } from 'node:fs';
import type { RunningCall } from './running-calls.ts';

/** What the daemon is doing, for people: calls under way, what keeps the event loop alive, threads, memory. */
export function dumpText(version: string, calls: readonly RunningCall[]): string {
  return [
    `berth ${version}, pid ${process.pid}, Node ${process.version}, up ${Math.round(process.uptime())} s`,
    section(`${calls.length} calls under way, longest first`, calls.map(callLine)),
    section('resources that keep the event loop alive', counted(process.getActiveResourcesInfo())),
    section('handles', counted(handles())),
    section('threads', counted(threads())),
    section('memory, bytes', Object.entries(process.memoryUsage()).map(pair)),
    section('resources of the process', Object.entries(process.resourceUsage()).map(pair)),
  ].join('\n');
}

const section = (title: string, lines: readonly string[]): string =>
  [`\n${title}`, ...lines.map((line) => `  ${line}`)].join('\n');

const pair = ([name, value]: readonly [string, unknown]): string => `${name} ${value}`;

function callLine({ info, startedMs }: RunningCall): string {
  const { ctx, requestId, service, method } = info;
  const seconds = ((performance.now() - startedMs) / 1000).toFixed(1);
  const { uid, pid } = ctx.caller;
  const caller = uid === undefined ? '' : ` by uid ${uid} pid ${pid}`;
  return `call ${requestId} [${seconds} s] /${service}/${method} namespace ${JSON.stringify(ctx.namespace)}${caller}`;
}

function counted(names: readonly string[]): string[] {
  const counts = new Map<string, number>();
  for (const name of names) counts.set(name, (counts.get(name) ?? 0) + 1);
  return [...counts].sort((a, b) => b[1] - a[1]).map(([name, count]) => `${count} ${name}`);
}

interface Report {
  readonly libuv?: readonly { readonly type: string; readonly is_active: boolean }[];
}

/** Of libuv. The rest of Node's report is left alone: it has the environment in it. */
function handles(): string[] {
  const report = process.report as typeof process.report & { excludeNetwork: boolean };
  report.excludeNetwork = true;
  const { libuv = [] } = report.getReport() as Report;
  return libuv.map(({ type, is_active: active }) => `${type}${active ? '' : ' (idle)'}`);
}

/** Names of this process's threads. */
export const threads = (): string[] => readdirSync('/proc/self/task').map(threadName);

function threadName(id: string): string {
  try {
    return readFileSync(`/proc/self/task/${id}/comm`, 'utf8').trim();
  } catch {
    return 'ended';
  }
}

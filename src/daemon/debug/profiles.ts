import { Session } from 'node:inspector/promises';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import { resourceExhausted } from '../../errors/error.ts';
import { cpuToPprof, heapToPprof } from './pprof.ts';

/** What a profile is asked to be: V8's own JSON (for Chrome's tools) or pprof. */
export interface ProfileRequest {
  readonly seconds: number;
  readonly json: boolean;
  readonly signal: AbortSignal;
}

let profiling = false;

/** Where the main thread spends its time. @throws resource_exhausted while another profile is taken */
export const cpuProfile = ({ seconds, json, signal }: ProfileRequest): Promise<string | Uint8Array> =>
  withSession(async (session) => {
    await session.post('Profiler.enable');
    await session.post('Profiler.start');
    await sleep(seconds * 1000, undefined, { signal });
    const { profile } = await session.post('Profiler.stop');
    return json ? JSON.stringify(profile) : cpuToPprof(profile, seconds);
  });

/** What the main thread allocates meanwhile and still holds at the end. @throws as {@link cpuProfile} */
export const heapProfile = ({ seconds, json, signal }: ProfileRequest): Promise<string | Uint8Array> =>
  withSession(async (session) => {
    await session.post('HeapProfiler.startSampling', { samplingInterval: 16 * 1024 });
    await sleep(seconds * 1000, undefined, { signal });
    const { profile } = await session.post('HeapProfiler.stopSampling');
    return json ? JSON.stringify(profile) : heapToPprof(profile, seconds);
  });

/** How late the event loop is: what blocks it, in numbers. */
export async function blockProfile({ seconds, signal }: ProfileRequest): Promise<string> {
  const delay = monitorEventLoopDelay({ resolution: 5 });
  delay.enable();
  try {
    await sleep(seconds * 1000, undefined, { signal });
  } finally {
    delay.disable();
  }
  const ms = (nanoseconds: number): string => (nanoseconds / 1e6).toFixed(2);
  const rows = [50, 90, 99, 100].map((p) => `p${p} ${ms(delay.percentile(p))}`);
  return `delay of the event loop over ${seconds} s, milliseconds\n${rows.join('\n')}\n`;
}

async function withSession<T>(work: (session: Session) => Promise<T>): Promise<T> {
  if (profiling) throw resourceExhausted('another profile is being taken');
  profiling = true;
  const session = new Session();
  session.connect();
  try {
    return await work(session);
  } finally {
    session.disconnect();
    profiling = false;
  }
}

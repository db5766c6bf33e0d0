import type { Log } from '../../async/context.ts';
import type { Span } from '../../async/span.ts';
import { messageOf } from '../../errors/error.ts';

/** Spans of calls, sent to a collector. Disposing sends what waits, for a few seconds. */
export interface Tracing extends AsyncDisposable {
  /** A span of a call, below that which the caller names: a W3C traceparent, unchecked. */
  callSpan(parent: string | undefined, service: string, method: string): Span;
}

type Environment = Readonly<Record<string, string | undefined>>;

/** Whether OTEL_* variables ask for traces, as containerd reads them: an endpoint is set, the SDK not disabled. */
export const wantsTraces = (env: Environment): boolean =>
  env.OTEL_SDK_DISABLED?.toLowerCase() !== 'true' &&
  env.OTEL_TRACES_EXPORTER !== 'none' &&
  Boolean(env.OTEL_EXPORTER_OTLP_ENDPOINT || env.OTEL_EXPORTER_OTLP_TRACES_ENDPOINT);

/** Loads OpenTelemetry where it is asked for; undefined otherwise, and when it cannot be had: a daemon without traces is better than none. */
export async function openTracing(env: Environment, version: string, log: Log): Promise<Tracing | undefined> {
  if (!wantsTraces(env)) return undefined;
  try {
    const { otlpTracing } = await import('./otlp.ts');
    return await otlpTracing(env, version, log);
  } catch (error) {
    log.error({ error: messageOf(error) }, 'traces are not sent');
    return undefined;
  }
}

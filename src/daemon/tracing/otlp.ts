import {
  DiagLogLevel,
  diag,
  isSpanContextValid,
  type Context as OtelContext,
  type Span as OtelSpan,
  ROOT_CONTEXT,
  SpanKind,
  SpanStatusCode,
  TraceFlags,
  type Tracer,
  trace,
} from '@opentelemetry/api';
import {
  defaultResource,
  detectResources,
  envDetector,
  resourceFromAttributes,
} from '@opentelemetry/resources';
import {
  AlwaysOffSampler,
  AlwaysOnSampler,
  BatchSpanProcessor,
  ParentBasedSampler,
  type Sampler,
  type SpanExporter,
  TraceIdRatioBasedSampler,
  TracerProvider,
} from '@opentelemetry/sdk-trace';
import type { Log } from '../../async/context.ts';
import type { Attributes, Span } from '../../async/span.ts';
import { invalidArgument, kindOf, messageOf, notImplemented } from '../../errors/error.ts';
import type { Tracing } from './open-tracing.ts';

type Environment = Readonly<Record<string, string | undefined>>;

const shutdownMs = 5000;

/** Spans by OTLP, as the OTEL_* variables say. @throws not_implemented (protocol), invalid_argument (a variable) */
export async function otlpTracing(env: Environment, version: string, log: Log): Promise<Tracing> {
  tellProblems(log);
  const processor = new BatchSpanProcessor({ exporter: await exporterOf(env), ...batchOptions(env) });
  const named = resourceFromAttributes({ 'service.name': 'berth', 'service.version': version });
  const resource = defaultResource()
    .merge(named)
    .merge(detectResources({ detectors: [envDetector] }));
  const provider = new TracerProvider({ resource, sampler: samplerOf(env), spanProcessors: [processor] });
  const tracer = provider.getTracer('berth', version);
  return {
    callSpan(parent, service, method) {
      const attributes = { 'rpc.system': 'grpc', 'rpc.service': service, 'rpc.method': method };
      const options = { kind: SpanKind.SERVER, attributes };
      return spanOf(tracer, tracer.startSpan(`${service}/${method}`, options, parentOf(parent)));
    },
    async [Symbol.asyncDispose]() {
      const late = new Promise((resolve) => setTimeout(resolve, shutdownMs).unref());
      await Promise.race([provider.shutdown().catch(() => {}), late]);
    },
  };
}

function spanOf(tracer: Tracer, span: OtelSpan): Span {
  const context = trace.setSpan(ROOT_CONTEXT, span);
  return {
    traceId: span.spanContext().traceId,
    child: (name: string, attributes: Attributes = {}) =>
      spanOf(tracer, tracer.startSpan(name, { attributes: { ...attributes } }, context)),
    end(failure?: unknown) {
      if (failure !== undefined) {
        span.setStatus({ code: SpanStatusCode.ERROR, message: messageOf(failure) });
        span.setAttribute('error.type', kindOf(failure));
      }
      span.end();
    },
  };
}

const traceparent = /^00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})$/;

/** W3C trace context; what is malformed is as if it were not there. */
function parentOf(header = ''): OtelContext {
  const [, traceId = '', spanId = '', flags = ''] = traceparent.exec(header) ?? [];
  const traceFlags = Number.parseInt(flags, 16) & TraceFlags.SAMPLED;
  const spanContext = { traceId, spanId, traceFlags, isRemote: true };
  return isSpanContextValid(spanContext) ? trace.setSpanContext(ROOT_CONTEXT, spanContext) : ROOT_CONTEXT;
}

/** The exporters read OTEL_EXPORTER_OTLP_* themselves. */
async function exporterOf(env: Environment): Promise<SpanExporter> {
  const exporter = env.OTEL_TRACES_EXPORTER || 'otlp';
  if (exporter !== 'otlp') throw invalidArgument(`unsupported traces exporter ${JSON.stringify(exporter)}`);
  const protocol =
    env.OTEL_EXPORTER_OTLP_TRACES_PROTOCOL || env.OTEL_EXPORTER_OTLP_PROTOCOL || 'http/protobuf';
  if (protocol === 'http/protobuf')
    return new (await import('@opentelemetry/exporter-trace-otlp-proto')).OTLPTraceExporter();
  if (protocol === 'grpc')
    return new (await import('@opentelemetry/exporter-trace-otlp-grpc')).OTLPTraceExporter();
  throw notImplemented(`OpenTelemetry protocol ${JSON.stringify(protocol)}`);
}

/** OTEL_BSP_*, which the SDK leaves to its user. */
function batchOptions(env: Environment): {
  scheduledDelayMillis: number;
  exportTimeoutMillis: number;
  maxQueueSize: number;
  maxExportBatchSize: number;
} {
  const maxQueueSize = whole(env, 'OTEL_BSP_MAX_QUEUE_SIZE', 2048);
  return {
    scheduledDelayMillis: whole(env, 'OTEL_BSP_SCHEDULE_DELAY', 5000),
    exportTimeoutMillis: whole(env, 'OTEL_BSP_EXPORT_TIMEOUT', 30_000),
    maxQueueSize,
    maxExportBatchSize: Math.min(maxQueueSize, whole(env, 'OTEL_BSP_MAX_EXPORT_BATCH_SIZE', 512)),
  };
}

function whole(env: Environment, name: string, usual: number): number {
  const text = env[name];
  if (text === undefined || text === '') return usual;
  const value = Number(text);
  if (Number.isInteger(value) && value > 0 && value < 2 ** 31) return value;
  throw invalidArgument(`${name} must be a whole number above 0`);
}

/** OTEL_TRACES_SAMPLER, likewise. */
function samplerOf(env: Environment): Sampler {
  const name = env.OTEL_TRACES_SAMPLER || 'parentbased_always_on';
  const ratio = () => new TraceIdRatioBasedSampler(ratioOf(env.OTEL_TRACES_SAMPLER_ARG));
  const roots: Readonly<Record<string, () => Sampler>> = {
    always_on: () => new AlwaysOnSampler(),
    always_off: () => new AlwaysOffSampler(),
    traceidratio: ratio,
  };
  const root = roots[name.replace(/^parentbased_/, '')]?.();
  if (root === undefined) throw invalidArgument(`OTEL_TRACES_SAMPLER ${JSON.stringify(name)} is not known`);
  return name.startsWith('parentbased_') ? new ParentBasedSampler({ root }) : root;
}

function ratioOf(text: string | undefined): number {
  const ratio = text === undefined || text === '' ? 1 : Number(text);
  if (ratio >= 0 && ratio <= 1) return ratio;
  throw invalidArgument('OTEL_TRACES_SAMPLER_ARG must be a number from 0 to 1');
}

/** What the SDK has to complain about, such as a collector that cannot be reached, is a warning of the daemon. */
function tellProblems(log: Log): void {
  const warn = (message: string): void => log.warn({ problem: message }, 'traces');
  const silent = () => {};
  const logger = { error: warn, warn, info: silent, debug: silent, verbose: silent };
  diag.setLogger(logger, { logLevel: DiagLogLevel.WARN, suppressOverrideMessage: true });
}

import type { Context } from './context.ts';

/** What a span says about itself, in words and numbers; never secrets. */
export type Attributes = Readonly<Record<string, string | number | boolean>>;

/** A piece of work that is timed as part of a trace. */
export interface Span {
  readonly traceId: string;
  child(name: string, attributes?: Attributes): Span;
  /** Once; with what it failed with, if it did. */
  end(failure?: unknown): void;
}

/** Does work as a span of the trace that the context belongs to; where there is none, does the work alone. */
export async function inSpan<C extends Context, T>(
  ctx: C,
  name: string,
  attributes: Attributes,
  work: (ctx: C) => Promise<T>,
): Promise<T> {
  if (ctx.span === undefined) return work(ctx);
  const span = ctx.span.child(name, attributes);
  try {
    const result = await work({ ...ctx, span });
    span.end();
    return result;
  } catch (error) {
    span.end(error);
    throw error;
  }
}

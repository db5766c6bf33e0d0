/**
 * The signal of work that nobody cancels. It lives as long as the program, so it is for waits that let go of it when
 * they end (locks, limiters, deadlines), never for AbortSignal.any.
 */
export const never: AbortSignal = new AbortController().signal;

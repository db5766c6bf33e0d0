import type { Log } from '../async/context.ts';

const line =
  (level: string) =>
  (fields: object, message: string): void => {
    process.stderr.write(
      `${JSON.stringify({ level, time: new Date().toISOString(), ...fields, msg: message })}\n`,
    );
  };

const silent = () => {};

/** JSON lines on stderr, which the daemon points at the shim's log file. Debug lines only when asked for. */
export const shimLog = (debug: boolean): Log => ({
  trace: silent,
  debug: debug ? line('debug') : silent,
  info: line('info'),
  warn: line('warn'),
  error: line('error'),
});

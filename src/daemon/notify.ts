import type { Log } from '../async/context.ts';
import { messageOf } from '../errors/error.ts';
import { sendDatagram } from '../sys/unix-socket.ts';

/** Tells systemd (sd_notify) how the daemon is doing; does nothing where nobody listens. */
export function notifySystemd(state: string, log: Log): void {
  const path = process.env.NOTIFY_SOCKET;
  if (!path) return;
  try {
    sendDatagram(path, state);
  } catch (error) {
    log.warn({ error: messageOf(error) }, 'systemd could not be told');
  }
}

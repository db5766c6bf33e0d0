import { openSync, readSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Fd } from './fd.ts';
import { check, libcCall, pollReadable } from './ffi.ts';

const eventfdCall = libcCall('eventfd', ['uint32', 'int']);
const EFD_CLOEXEC_NONBLOCK = 0o2000000 | 0o4000;

/**
 * Calls `onOom` whenever a memory cgroup of version 1 runs out of memory (cgroup.event_control with memory.oom_control),
 * a moment before anything is killed; once more when the cgroup is removed. @throws SysError, ENOENT (no such cgroup)
 */
export function watchOomV1(directory: string, onOom: () => void): Disposable {
  using opened = new DisposableStack();
  const event = opened.use(new Fd(check('eventfd', eventfdCall(0, EFD_CLOEXEC_NONBLOCK))));
  using control = new Fd(openSync(join(directory, 'memory.oom_control'), 'r'));
  writeFileSync(join(directory, 'cgroup.event_control'), `${event.fd} ${control.fd}`);
  const counter = Buffer.alloc(8);
  opened.use(
    pollReadable(event.fd, () => {
      readSync(event.fd, counter);
      onOom();
    }),
  );
  return opened.move();
}

import { setTimeout as sleep } from 'node:timers/promises';
import { run } from './run.ts';

/**
 * Unmounts a file system whose users are dead. The kernel lets go of their files a moment after they are gone: io_uring's are released by
 * a worker of its own, so "target is busy" is asked again, for ten seconds at most.
 */
export async function unmountFreed(path: string): Promise<void> {
  for (let tries = 0; ; tries++) {
    const { status, stderr } = await run('umount', [path]);
    if (status === 0) return;
    if (!stderr.includes('target is busy') || tries === 200) throw new Error(stderr);
    await sleep(50);
  }
}

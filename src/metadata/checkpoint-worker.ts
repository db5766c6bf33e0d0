import { workerData } from 'node:worker_threads';
import { checkpoint } from './db.ts';

// A checkpoint syncs two files; on a thread of its own it stalls nobody.
checkpoint(String(workerData));

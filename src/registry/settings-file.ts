import { readFile, stat } from 'node:fs/promises';
import { invalidArgument, messageOf } from '../errors/error.ts';

/** The text of one of the user's files. @throws invalid_argument naming it: missing, unreadable, larger than `limitBytes` */
export async function readSettingsFile(path: string, limitBytes: number): Promise<string> {
  try {
    const { size } = await stat(path);
    if (size > limitBytes) throw invalidArgument(`larger than ${limitBytes} bytes`);
    return await readFile(path, 'utf8');
  } catch (error) {
    throw invalidArgument(`${path}: ${messageOf(error)}`, error);
  }
}

import { readdirSync } from 'node:fs';
import { readdir } from 'node:fs/promises';

/** The names in a directory; none where it is missing or cannot be read. */
export const namesIn = (directory: string): Promise<string[]> => readdir(directory).catch(() => []);

/** As {@link namesIn}, at once. */
export function namesInSync(directory: string): string[] {
  try {
    return readdirSync(directory);
  } catch {
    return [];
  }
}

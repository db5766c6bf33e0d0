import { codeOf, dataLoss, isKind, messageOf, resourceExhausted } from '../errors/error.ts';

/** SQLite's primary result codes that mean something to a caller (sqlite.org/rescode.html). */
const code = { corrupt: 11, full: 13, ioError: 10, notADatabase: 26 };

const codeIn = (error: unknown): number =>
  codeOf(error) === 'ERR_SQLITE_ERROR' && error instanceof Error && 'errcode' in error
    ? Number(error.errcode) & 0xff
    : 0;

const isDamage = (error: unknown): boolean =>
  codeIn(error) === code.corrupt || codeIn(error) === code.notADatabase || isKind(error, 'data_loss');

/** What opening the database at `path` failed with: damage is said to be such, anything else passes. */
export const translateOpening = (error: unknown, path: string): unknown =>
  isDamage(error)
    ? dataLoss(
        `metadata database ${path} is damaged (${messageOf(error)}): move it away or restore it`,
        error,
      )
    : error;

/** What a mutation failed with: resource_exhausted (disk full), data_loss (disk or database broken), or as it was. */
export function translate(error: unknown): unknown {
  if (codeIn(error) === code.full)
    return resourceExhausted('metadata database: no space left on device', error);
  if (isDamage(error) || codeIn(error) === code.ioError) {
    return dataLoss(`metadata database: ${messageOf(error)}`, error);
  }
  return error;
}

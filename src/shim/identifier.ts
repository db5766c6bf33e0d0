import { identifierPattern, maxIdentifierLength } from '../async/identifier.ts';
import { invalidArgument } from '../errors/error.ts';

/** An id that may become a path component and an argument. `what` names it in the error. @throws invalid_argument */
export function checkIdentifier(what: string, id: string): string {
  if (id === '') throw invalidArgument(`${what} must not be empty`);
  if (id.length > maxIdentifierLength)
    throw invalidArgument(
      `${what} ${JSON.stringify(id.slice(0, 100))} greater than maximum length (${maxIdentifierLength} characters)`,
    );
  if (!identifierPattern.test(id))
    throw invalidArgument(`${what} ${JSON.stringify(id)} must match ${identifierPattern.source}`);
  return id;
}

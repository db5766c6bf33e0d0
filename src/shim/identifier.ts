import { invalidArgument } from '../errors/error.ts';

/** containerd's rule for ids (github.com/containerd/containerd pkg/identifiers): no slash, no dots in a row, 76 at most. */
const pattern = /^[A-Za-z0-9]+(?:[._-][A-Za-z0-9]+)*$/;
const maxLength = 76;

/** An id that may become a path component and an argument. `what` names it in the error. @throws invalid_argument */
export function checkIdentifier(what: string, id: string): string {
  if (id === '') throw invalidArgument(`${what} must not be empty`);
  if (id.length > maxLength)
    throw invalidArgument(`${what} of ${id.length} characters is longer than ${maxLength}`);
  if (!pattern.test(id)) throw invalidArgument(`${what} ${JSON.stringify(id)} must match ${pattern.source}`);
  return id;
}

import { type Context, namespaceOf } from '../async/context.ts';
import { identifierFault } from '../async/identifier.ts';
import { invalidArgument } from '../errors/error.ts';

/** Ids of containers and names of namespaces, as containerd has them. @throws invalid_argument */
export function validateIdentifier(text: string): void {
  const fault = identifierFault(text);
  if (fault !== undefined) throw invalidArgument(`${fault}: invalid argument`);
}

/** The caller's namespace, checked. @throws failed_precondition (none), invalid_argument (not an identifier) */
export function validNamespace(ctx: Context): string {
  const namespace = namespaceOf(ctx);
  validateIdentifier(namespace);
  return namespace;
}

import { type Context, namespaceOf } from '../async/context.ts';
import { identifierPattern, maxIdentifierLength } from '../async/identifier.ts';
import { invalidArgument } from '../errors/error.ts';

/** Ids of containers and names of namespaces, as containerd has them. @throws invalid_argument */
export function validateIdentifier(text: string): void {
  if (text === '') throw invalidArgument('identifier must not be empty: invalid argument');
  const shown = JSON.stringify(text.slice(0, 200));
  if (text.length > maxIdentifierLength) {
    throw invalidArgument(
      `identifier ${shown} greater than maximum length (${maxIdentifierLength} characters): invalid argument`,
    );
  }
  if (!identifierPattern.test(text)) {
    throw invalidArgument(`identifier ${shown} must match ${identifierPattern.source}: invalid argument`);
  }
}

/** The caller's namespace, checked. @throws failed_precondition (none), invalid_argument (not an identifier) */
export function validNamespace(ctx: Context): string {
  const namespace = namespaceOf(ctx);
  validateIdentifier(namespace);
  return namespace;
}

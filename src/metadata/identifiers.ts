import { type Context, namespaceOf } from '../async/context.ts';
import { invalidArgument } from '../errors/error.ts';

const pattern = /^[A-Za-z0-9]+(?:[._-](?:[A-Za-z0-9]+))*$/;
const maxLength = 76;

/** Ids of containers and names of namespaces, as containerd has them. @throws invalid_argument */
export function validateIdentifier(text: string): void {
  if (text === '') throw invalidArgument('identifier must not be empty: invalid argument');
  const shown = JSON.stringify(text.slice(0, 200));
  if (text.length > maxLength) {
    throw invalidArgument(
      `identifier ${shown} greater than maximum length (${maxLength} characters): invalid argument`,
    );
  }
  if (!pattern.test(text)) {
    throw invalidArgument(`identifier ${shown} must match ${pattern.source}: invalid argument`);
  }
}

/** The caller's namespace, checked. @throws failed_precondition (none), invalid_argument (not an identifier) */
export function validNamespace(ctx: Context): string {
  const namespace = namespaceOf(ctx);
  validateIdentifier(namespace);
  return namespace;
}

/** What ids may look like: letters and digits, joined by single `.`, `-` or `_`. Written as containerd's errors show it. */
export const identifierPattern = /^[A-Za-z0-9]+(?:[._-](?:[A-Za-z0-9]+))*$/;

export const maxIdentifierLength = 76;

/**
 * containerd's rule (github.com/containerd/containerd pkg/identifiers) for names of namespaces, ids of containers and
 * execs, and parts of topics: at most 76 characters, no slash, no two dots in a row, so safe as a path component.
 */
export const isIdentifier = (text: string): boolean =>
  text.length <= maxIdentifierLength && identifierPattern.test(text);

/** What is wrong with an identifier, in containerd's words; undefined when nothing is. */
export function identifierFault(text: string): string | undefined {
  if (text === '') return 'identifier must not be empty';
  if (isIdentifier(text)) return undefined;
  const shown = JSON.stringify(text);
  return text.length > maxIdentifierLength
    ? `identifier ${shown} greater than maximum length (${maxIdentifierLength} characters)`
    : `identifier ${shown} must match ${identifierPattern.source}`;
}

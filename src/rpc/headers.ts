import { identifierFault } from '../async/identifier.ts';
import { invalidArgument } from '../errors/error.ts';

/** Header that names the namespace of a call. */
export const namespaceHeader = 'containerd-namespace';
/** Header that names the lease which new resources are added to. */
export const leaseHeader = 'containerd-lease';

const maxLeaseLength = 256;

/**
 * The namespace of a call; '' when none was named (stores that need one refuse it).
 * @throws invalid_argument for what is no containerd identifier
 */
export function parseNamespace(value: string | undefined): string {
  if (value === undefined || value === '') return '';
  const fault = identifierFault(value);
  if (fault !== undefined) throw invalidArgument(`namespace validation: ${fault}`);
  return value;
}

/** The lease of a call. @throws invalid_argument when longer than 256 characters */
export function parseLease(value: string | undefined): string | undefined {
  if (value === undefined || value === '') return undefined;
  if (value.length > maxLeaseLength) throw invalidArgument(`lease id is longer than ${maxLeaseLength}`);
  return value;
}

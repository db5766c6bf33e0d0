import type { Container } from '../client/index.ts';

/** The runtime spec of a container as JSON; undefined when it has none or it is not JSON. */
export function specOf(container: Container): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(new TextDecoder().decode(container.spec?.value));
    return isObject(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

/** Command and arguments of its first process. */
export function commandOf(container: Container): string[] {
  const args = processOf(container)?.args;
  return Array.isArray(args) ? args.map(String) : [];
}

export const hasTerminal = (container: Container): boolean => processOf(container)?.terminal === true;

function processOf(container: Container): Record<string, unknown> | undefined {
  const found = specOf(container)?.process;
  return isObject(found) ? found : undefined;
}

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

const limit = 32;

/** What is done in a repository, as token servers name it: `repository:library/redis:pull,push`. */
export const repositoryScope = (path: string, actions: 'pull' | 'pull,push'): string =>
  `repository:${path}:${actions}`;

/**
 * One scope for each resource, with everything that any of the given ones asks of it, sorted: a token of the union
 * serves them all. What has no actions is kept as it is.
 */
export function unionScopes(scopes: readonly string[]): string[] {
  const actions = new Map<string, Set<string>>();
  for (const scope of scopes.filter((text) => text !== '').slice(0, limit)) {
    const { resource, wanted } = split(scope);
    const known = actions.get(resource) ?? new Set();
    for (const action of wanted) known.add(action);
    actions.set(resource, known);
  }
  return [...actions].map(([resource, wanted]) => [resource, [...wanted].sort().join(',')].join('')).sort();
}

/** The resource up to and including its last colon, which a port in a name may precede. */
function split(scope: string): { resource: string; wanted: readonly string[] } {
  const colon = scope.lastIndexOf(':');
  if (colon < 0 || scope.indexOf(':') === colon) return { resource: scope, wanted: [] };
  return { resource: scope.slice(0, colon + 1), wanted: scope.slice(colon + 1).split(',') };
}

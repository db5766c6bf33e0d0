/** One challenge of a WWW-Authenticate header (RFC 9110 §11.6.1). Scheme and parameter names are lower case. */
export interface Challenge {
  readonly scheme: string;
  readonly parameters: ReadonlyMap<string, string>;
}

const limits = { headerChars: 16 * 1024, challenges: 16, parameters: 32 } as const;
const token = /[!#$%&'*+\-.^_`|~0-9A-Za-z]+/y;
const quoted = /"((?:[^"\\]|\\.)*)"/y;

/** Every challenge that can be read; what cannot be read ends the list rather than throwing. */
export function parseChallenges(headers: readonly string[]): Challenge[] {
  return headers
    .flatMap((header) => parseHeader(header.slice(0, limits.headerChars)))
    .slice(0, limits.challenges);
}

function parseHeader(text: string): Challenge[] {
  const found: Challenge[] = [];
  const scan = scanner(text);
  let parameters = new Map<string, string>();
  while (found.length < limits.challenges) {
    scan.skip();
    const word = scan.take(token)?.[0];
    if (word === undefined) break;
    if (scan.equals()) {
      if (found.length === 0 || parameters.size >= limits.parameters) break;
      const value = scan.value();
      if (value === undefined) break;
      if (!parameters.has(word.toLowerCase())) parameters.set(word.toLowerCase(), value);
    } else {
      parameters = new Map();
      found.push({ scheme: word.toLowerCase(), parameters });
    }
  }
  return found;
}

function scanner(text: string) {
  let at = 0;
  const take = (pattern: RegExp): RegExpExecArray | null => {
    pattern.lastIndex = at;
    const match = pattern.exec(text);
    if (match) at = pattern.lastIndex;
    return match;
  };
  return {
    take,
    skip: () => void take(/[\s,]*/y),
    equals: () => take(/[ \t]*=[ \t]*/y) !== null,
    value: () => take(quoted)?.[1]?.replace(/\\(.)/g, '$1') ?? take(token)?.[0],
  };
}

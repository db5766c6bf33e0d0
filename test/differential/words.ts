const words =
  /(?:: )?\b(?:invalid argument|not found|already exists|failed precondition|out of range|unavailable|aborted|not implemented|resource exhausted|permission denied)$/;

/** A text without the words that only repeat the code, at either end. */
export function bare(text: string): string {
  let rest = text.replace(/^invalid argument: /, '');
  for (let shorter = rest.replace(words, ''); shorter !== rest; shorter = rest.replace(words, ''))
    rest = shorter;
  return rest;
}

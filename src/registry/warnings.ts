const limits = { headerChars: 8 * 1024, textChars: 256, warnings: 8 } as const;
const warning = /(\d{3})\s+[^\s",]+\s+"((?:[^"\\]|\\.){0,1024})"/g;

/**
 * What a registry wants people to know: the texts of its `Warning: 299 - "…"` headers (RFC 7234 §5.5, distribution
 * spec), made safe to print. Other codes are about caches and left out.
 */
export function parseWarnings(header: string | undefined): string[] {
  if (header === undefined) return [];
  return [...header.slice(0, limits.headerChars).matchAll(warning)]
    .filter(([, code]) => code === '299')
    .slice(0, limits.warnings)
    .map(([, , text = '']) =>
      text
        .replace(/\\(.)/g, '$1')
        .replace(/[^\x20-\x7e]+/g, ' ')
        .slice(0, limits.textChars),
    )
    .filter((text) => text.trim() !== '');
}

import { invalidArgument } from '../../errors/error.ts';
import { compileTemplate, fieldsOf } from './template.ts';

/** How the user wants results: words for people, JSON, or a template of their own. */
export interface Style {
  readonly json: boolean;
  readonly format: string | undefined;
}

export interface Column<T> {
  readonly head: string;
  readonly show: (row: T) => string;
}

/** JSON with bigints as text. `indent` as JSON.stringify takes it. */
export const toJsonText = (value: unknown, indent?: number): string =>
  JSON.stringify(value, (_, item) => (typeof item === 'bigint' ? String(item) : item), indent);

export const wantsJson = (style: Style): boolean => style.json || style.format === 'json';

/** Rows as a table, as JSON lines, or a line a row by the template (`table …` adds a heading). */
export async function formatRows<T extends object>(
  style: Style,
  columns: readonly Column<T>[],
  rows: readonly T[],
): Promise<string> {
  if (wantsJson(style)) return rows.map((row) => `${toJsonText(row)}\n`).join('');
  const { format } = style;
  if (format === undefined || format === 'table') {
    const { renderTable } = await import('./table.ts');
    return renderTable(
      columns.map(({ head }) => head),
      rows.map((row) => columns.map(({ show }) => show(row))),
    );
  }
  return format.startsWith('table ') ? templateTable(format.slice(6), rows) : templateLines(format, rows);
}

function templateLines(format: string, rows: readonly object[]): string {
  const template = compileTemplate(format);
  return rows.map((row) => `${template(row)}\n`).join('');
}

async function templateTable(format: string, rows: readonly object[]): Promise<string> {
  const template = compileTemplate(format);
  const cells = rows.map((row) => template(row).split('\t'));
  const { renderTable } = await import('./table.ts');
  const head = fieldsOf(format).map((field) => field.toUpperCase());
  if (head.length === 0) throw invalidArgument('a table template needs at least one {{.Field}}');
  return renderTable(head, cells);
}

/** One object: indented JSON, or by the template; undefined when the user wants words for people. */
export function formatObject(style: Style, value: object): string | undefined {
  if (wantsJson(style)) return `${toJsonText(value)}\n`;
  return style.format === undefined ? undefined : `${compileTemplate(style.format)(value)}\n`;
}

import type { Command } from 'commander';
import { act, collect } from '../command.ts';
import { toJsonText, wantsJson } from '../output/print.ts';
import { compileTemplate } from '../output/template.ts';
import { printable } from '../output/text.ts';
import { parseMoment } from '../parse/time.ts';

interface Options {
  readonly filter?: readonly string[];
  readonly allNamespaces?: true;
  readonly since?: string;
}

export function define(command: Command): void {
  command
    .option(
      '-f, --filter <filter>',
      "containerd's filters, e.g. topic~=^/tasks/ or event.container_id==x",
      collect,
    )
    .option(
      '--since <time|cursor>',
      'begin with the events from then on (10m, 2026-01-31T12:00:00Z), or after those of a cursor (Cursor of --json), and come back when the daemon does',
    )
    .option('-A, --all-namespaces', 'not only those of the chosen namespace');
  act<Options>(command, async (cli, _args, options) => {
    const { decodeEvent } = await import('../../client/index.ts');
    const client = await cli.client();
    const stop = new AbortController();
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => stop.abort());
    const filters = wantedFilters(options, cli.globals.namespace);
    const template = cli.globals.format === undefined ? undefined : compileTemplate(cli.globals.format);
    const { signal } = stop;
    const events =
      options.since === undefined
        ? client.events.subscribe({ filters, signal })
        : client.events.follow({ filters, signal, ...startOf(options.since) });
    for await (const envelope of events) {
      const { namespace, topic, timestamp } = envelope;
      const event = decodeEvent(envelope.event) ?? { type: envelope.event.typeUrl };
      const row = {
        Timestamp: timestamp.toISOString(),
        Namespace: namespace,
        Topic: topic,
        Event: event,
        ...('cursor' in envelope && { Cursor: envelope.cursor }),
      };
      if (wantsJson(cli.globals)) cli.print(`${toJsonText(row)}\n`);
      else if (template !== undefined) cli.print(`${template(row)}\n`);
      else cli.print(`${row.Timestamp} ${printable(`${namespace} ${topic} ${toJsonText(event)}`)}\n`);
    }
  });
}

/** A cursor, or a moment. @throws invalid_argument */
const startOf = (text: string): { cursor: string } | { since: Date } =>
  /^[0-9a-f]{12}-\d+$/.test(text) ? { cursor: text } : { since: parseMoment(text) };

/** Filters given several times are alternatives; each is joined with the namespace. */
function wantedFilters(options: Options, namespace: string): string[] {
  const given = options.filter ?? [];
  if (options.allNamespaces === true) return [...given];
  const own = `namespace==${namespace}`;
  return given.length === 0 ? [own] : given.map((filter) => `${own},${filter}`);
}

import { StageError } from '../../src/errors.js';
import {
  type Command,
  type CommandContext,
  type CommandResult,
  count,
  type Values,
  wholeNumber,
} from '../command.js';
import type { ResultOf } from '../operations/index.js';
import { inLine } from '../printable.js';

/** One run as a line. */
export function runText(r: ResultOf<'runs'>['runs'][number]): string {
  const seconds = r.finishedAt === undefined ? '' : ` ${((r.finishedAt - r.startedAt) / 1000).toFixed(1)} s`;
  return inLine(
    `${new Date(r.startedAt).toISOString()} ${r.job} ${r.status}${seconds}: ${r.detail} (${r.trigger})`,
  );
}

const spans: Readonly<Record<string, number>> = { m: 60_000, h: 3_600_000, d: 86_400_000 };

/** A time (epoch ms) given as ISO 8601 or as a span before now: `90m`, `36h`, `7d`. */
export function timeOf(value: Values[string], now = Date.now()): number | undefined {
  if (value === undefined) return undefined;
  const [, n, unit] = /^(\d+)([mhd])$/.exec(String(value)) ?? [];
  const time = n === undefined ? Date.parse(String(value)) : now - Number(n) * spans[unit!]!;
  if (!Number.isNaN(time)) return time;
  throw new StageError(
    'USAGE',
    `--since: expected a time such as 2026-01-31T12:00Z or a span such as 36h, found ${JSON.stringify(value)}`,
  );
}

const limitOf = ({ limit }: Values): number => wholeNumber('limit', limit ?? '100');
const text = (value: Values[string]): string | undefined => value as string | undefined;

export const runs: Command = {
  summary: 'runs of jobs, newest first',
  usage: '-c pipeline.yaml [--job J] [--since T] [--limit 100]',
  options: { job: { type: 'string' }, since: { type: 'string' }, limit: { type: 'string' } },
  help: {
    job: 'only runs of this job',
    since: 'only runs since this time, such as 2026-01-31T12:00Z or 36h',
    limit: 'runs to show; default 100',
  },
  async run({ ask, values }) {
    const filter = { job: text(values.job), since: timeOf(values.since), limit: limitOf(values) };
    const found = await ask('runs', filter);
    return { json: found, text: found.runs.map(runText).join('\n') || 'no runs' };
  },
};

async function list({ ask, values }: CommandContext, filter: object): Promise<CommandResult> {
  const found = await ask('deadLetters', { ...filter, limit: limitOf(values) });
  const at = (time: number): string => new Date(time).toISOString();
  const lines = [
    ...found.counts.map(c => `${c.source}: ${count(c.count)} ${c.code}, ${at(c.first)} to ${at(c.last)}`),
    ...found.letters.map(d =>
      inLine(`${at(d.rejectedAt)} ${d.source}/${d.partition}@${d.sequence} ${d.code}: ${d.reason}`),
    ),
  ];
  return { json: found, text: lines.join('\n') || 'no dead letters' };
}

export const deadLetters: Command = {
  summary: 'list the records that could not become events by code and time, decode them again, or drop them',
  arguments: ['ACTION'],
  usage: 'list | retry | drop -c pipeline.yaml [--code C] [--source S] [--since T] [--limit 100]',
  options: {
    code: { type: 'string' },
    source: { type: 'string' },
    since: { type: 'string' },
    limit: { type: 'string' },
  },
  help: {
    code: 'only those with this code',
    source: 'only those of this source',
    since: 'only those since this time, such as 2026-01-31T12:00Z or 36h',
    limit: 'dead letters to show; default 100',
  },
  async run(context) {
    const { values, positionals, ask } = context;
    const filter = { code: text(values.code), source: text(values.source), since: timeOf(values.since) };
    const [action] = positionals;
    if (action === 'list') return list(context, filter);
    if (action === 'retry') {
      const found = await ask('retryDeadLetters', filter);
      const text = `${count(found.retried)} decoded again, ${count(found.revived)} of them are events now`;
      return { json: found, text };
    }
    if (action !== 'drop')
      throw new StageError(
        'USAGE',
        `dead-letters: expected list, retry or drop, found ${JSON.stringify(action)}`,
      );
    const found = await ask('dropDeadLetters', filter);
    return { json: found, text: `${count(found.dropped)} dead letters dropped` };
  },
};

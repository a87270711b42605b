import { setTimeout as sleep } from 'node:timers/promises';
import { type Command, type CommandContext, type CommandResult, count, wholeNumber } from '../command.js';
import type { ResultOf } from '../operations/index.js';
import { inLine, printable } from '../printable.js';
import { runText } from './history.js';

type Status = ResultOf<'status'>;

function tunedText({ changed, measured, found, before, at, inUse }: NonNullable<Status['tuned']>): string {
  const date = new Date(at).toISOString().slice(0, 10);
  const values = Object.entries(changed).map(([name, value]) => `${name} ${value}`);
  const figures = `${measured.metric}@${measured.k} ${found.toFixed(4)} against ${before.toFixed(4)} on ${date}`;
  return `${values.join(', ')} (${figures})${inUse ? '' : ': not in use, `fit` was changed since'}`;
}

function ageingText({ window, halfLife, since, landmark, halfLives }: NonNullable<Status['ageing']>): string {
  const shown = [
    window && `window ${window}${since ? `, from ${since}` : ''}`,
    halfLife &&
      `half-life ${halfLife}${landmark ? `, ${halfLives} of them since the landmark ${landmark}` : ''}`,
  ];
  return shown.filter(text => text !== undefined).join('; ');
}

const when = (time: number | undefined): string =>
  time === undefined ? 'never' : new Date(time).toISOString();

function jobText({ job, last, next }: Status['jobs'][number]): string {
  const ended = last ? `last ${when(last.startedAt)} ${last.status}` : 'not yet run';
  return `job       ${job}: ${ended}${next === undefined ? '' : `; next ${when(next)}`}`;
}

function textOf(s: Status): string {
  const { gramian, gate, tuned } = s;
  const newest = s.models.at(-1);
  return [
    `state     ${s.state}`,
    `inbox     ${count(s.inbox)} events wait; ${count(s.folded)} folded, ${count(s.repeated)} of them repeated; ${count(s.deadLetters)} dead letters`,
    ...s.deadLetterCodes.map(d => `          ${d.source}: ${count(d.count)} ${d.code}, last ${when(d.last)}`),
    ...s.deadLetterSamples.map(
      d => `          ${d.source}/${d.partition}@${d.sequence}: ${inLine(d.reason)}`,
    ),
    ...s.skipped.map(d => `          ${d.source}: ${count(d.count)} skipped by ${d.reason}`),
    `matrix    ${count(s.users)} users × ${count(s.items)} items, ${count(s.interactions)} interactions`,
    ...(s.ageing ? [`ageing    ${ageingText(s.ageing)}; ${count(s.aged)} too old to count`] : []),
    `gramian   ${gramian.mode}${gramian.mode === 'stored' ? `, ${gramian.segments} segments, ${count(gramian.entries)} entries` : ''}`,
    `models    ${s.models.length}${newest ? `; newest ${newest}` : ''}; published ${s.published ?? 'none'}`,
    ...(gate
      ? [`gate      model ${gate.version} ${gate.passed ? 'passes' : 'is held back'}: ${gate.reason}`]
      : []),
    ...(tuned ? [`tuned     ${tunedText(tuned)}`] : []),
    ...s.jobs.map(jobText),
    ...s.runs.map(r => `run       ${runText(r)}`),
  ].join('\n');
}

/** Shows the status again and again, until a stop. */
async function watch({ ask, signal }: CommandContext, seconds: number): Promise<CommandResult> {
  while (!signal.aborted) {
    const text = textOf(await ask('status', {}));
    const clear = process.stdout.isTTY ? '\u001b[2J\u001b[H' : '';
    process.stdout.write(`${clear}${new Date().toISOString()}\n${printable(text)}\n`);
    await sleep(seconds * 1000, undefined, { signal }).catch(() => undefined);
  }
  return { json: {}, text: '' };
}

export const status: Command = {
  summary: 'sizes, positions, the newest model, and of each job the last and the next run',
  usage: '-c pipeline.yaml [--watch] [--every 2]',
  options: { watch: { type: 'boolean' }, every: { type: 'string' } },
  help: { watch: 'show it again and again until Ctrl-C', every: 'seconds between two looks; default 2' },
  async run(context) {
    if (context.values.watch) return watch(context, wholeNumber('every', context.values.every ?? '2'));
    const found = await context.ask('status', {});
    return { json: found, text: textOf(found) };
  },
};

/**
 * The cause of a run. The ledger keeps its text, and a job that has ended for a trigger is not done again for it: that
 * is how a process that starts after a crash knows what is left to do.
 */
export type Trigger =
  /** A person at the command line: the one trigger for which a job is done each time. */
  | { readonly kind: 'cli' }
  /** A time of the job's cron expression, epoch ms. */
  | { readonly kind: 'cron'; readonly time: number }
  /** Enough events: for a fold the time they were counted at (epoch ms), for a refit the number folded so far. */
  | { readonly kind: 'events'; readonly at: number }
  /** A refit because of this kind of drift, by the number of events folded so far. */
  | { readonly kind: 'drift'; readonly of: string; readonly at: number }
  /** A condition that turned true, and when (epoch ms). */
  | { readonly kind: 'query'; readonly at: number }
  /** A signal, as `<source>:<id>`. Both may contain colons, so the two are not taken apart. */
  | { readonly kind: 'signal'; readonly signal: string }
  /** The refit that made a version; it starts the version's publication. */
  | { readonly kind: 'refit'; readonly version: string }
  /** A fold, by its own trigger and the number of events folded after it. */
  | { readonly kind: 'follow'; readonly fold: Trigger; readonly folded: number }
  /** A name that a caller of the library gave. */
  | { readonly kind: 'named'; readonly name: string };

/** The trigger of everything that a person asks for at the command line. */
export const cli: Trigger = { kind: 'cli' };

/** The text of a trigger, as the ledger and the log have it. */
export function formatTrigger(trigger: Trigger): string {
  switch (trigger.kind) {
    case 'cli':
      return 'cli';
    case 'cron':
      return `cron:${new Date(trigger.time).toISOString()}`;
    case 'events':
    case 'query':
      return `${trigger.kind}:${trigger.at}`;
    case 'drift':
      return `drift:${trigger.of}:${trigger.at}`;
    case 'signal':
      return `signal:${trigger.signal}`;
    case 'refit':
      return `refit:${trigger.version}`;
    case 'follow':
      return `follow:${formatTrigger(trigger.fold)}:${trigger.folded}`;
    case 'named':
      return trigger.name;
  }
}

/** The trigger with this text; a text of no known form is a name. `formatTrigger` gives the text back. */
export function parseTrigger(text: string): Trigger {
  const trigger = read(text);
  return trigger && formatTrigger(trigger) === text ? trigger : { kind: 'named', name: text };
}

function read(text: string): Trigger | undefined {
  if (text === 'cli') return cli;
  const [, kind, rest = ''] = /^([a-z]+):(.*)$/s.exec(text) ?? [];
  const last = rest.lastIndexOf(':');
  switch (kind) {
    case 'cron': {
      const time = Date.parse(rest);
      return Number.isNaN(time) ? undefined : { kind, time };
    }
    case 'events':
    case 'query':
      return { kind, at: Number(rest) };
    case 'drift':
      return last < 0 ? undefined : { kind, of: rest.slice(0, last), at: Number(rest.slice(last + 1)) };
    case 'signal':
      return { kind, signal: rest };
    case 'refit':
      return { kind, version: rest };
    case 'follow':
      return last < 0
        ? undefined
        : { kind, fold: parseTrigger(rest.slice(0, last)), folded: Number(rest.slice(last + 1)) };
    default:
      return undefined;
  }
}

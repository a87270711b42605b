import { setTimeout as sleep } from 'node:timers/promises';
import type { PartitionEnd } from '../src/contracts/index.js';
import { toStageError } from '../src/errors.js';
import type { Probe } from '../src/runtime/probe.js';
import type { BatchSummary } from '../src/stages/ingest.js';
import type { Part } from './observe.js';
import type { Pipeline } from './open.js';
import { redacted } from './secrets.js';

/** A dead system is known after one pause and one timeout. */
const pauseMs = 1500;
const timeoutMs = 2000;

/** A part of the pipeline that lies elsewhere, and whether it answers. */
export interface PartHealth extends Part {
  readonly problem: string | undefined;
}

/** How far the state is behind a partition. */
export interface Lag {
  readonly source: string;
  readonly partition: string;
  readonly events: number;
  /** Seconds since the state had everything that the partition had. */
  readonly seconds: number;
}

interface Tracked {
  /** Unknown until somebody has looked. */
  end: number | undefined;
  taken: number;
  caughtUpAt: number;
}

/** What has parts to watch: a pipeline. */
interface Watched {
  readonly parts: Readonly<Record<'sources' | 'sinks', readonly { readonly name: string }[]>>;
}

/**
 * Looks whether the systems of sources and sinks answer, and how far the state is behind them. `#problems` has every part, by
 * kind and name; a source that cannot be read has a problem too.
 */
export class Health {
  readonly #problems = new Map<string, { readonly part: Part; problem: string | undefined }>();
  readonly #lag = new Map<string, Map<string, Tracked>>();
  readonly #changed: (part: Part, problem: string | undefined) => void;

  constructor({ parts }: Watched, changed: (part: Part, problem: string | undefined) => void) {
    this.#changed = changed;
    const all: Part[] = [
      ...parts.sources.map(({ name }) => ({ kind: 'source', name }) as const),
      ...parts.sinks.map(({ name }) => ({ kind: 'sink', name }) as const),
    ];
    for (const part of all) this.#problems.set(keyOf(part), { part, problem: undefined });
  }

  get parts(): readonly PartHealth[] {
    return [...this.#problems.values()].map(({ part, problem }) => ({ ...part, problem }));
  }

  get lags(): readonly Lag[] {
    const now = Date.now();
    return [...this.#lag].flatMap(([source, partitions]) =>
      [...partitions].flatMap(([partition, { end, taken, caughtUpAt }]) => {
        if (end === undefined) return [];
        const events = Math.max(0, end - taken);
        return [{ source, partition, events, seconds: events === 0 ? 0 : (now - caughtUpAt) / 1000 }];
      }),
    );
  }

  /** Notes what was found of a part. The first finding of a kind is told, unless it is `known` to others already. */
  found(part: Part, error: unknown, isKnown = false): void {
    const known = this.#problems.get(keyOf(part))!;
    const problem = error === undefined ? undefined : redacted(toStageError(error).message);
    const turned = (known.problem === undefined) !== (problem === undefined);
    known.problem = problem;
    if (turned && !isKnown) this.#changed(part, problem);
  }

  #tracked(source: string, partition: string): Tracked {
    const partitions = this.#lag.get(source) ?? new Map<string, Tracked>();
    this.#lag.set(source, partitions);
    const tracked = partitions.get(partition) ?? { end: undefined, taken: -1, caughtUpAt: Date.now() };
    partitions.set(partition, tracked);
    return tracked;
  }

  taken(source: string, positions: BatchSummary['positions']): void {
    for (const { partition, sequence } of positions) {
      const tracked = this.#tracked(source, partition);
      tracked.taken = Math.max(tracked.taken, sequence);
      if (tracked.taken >= (tracked.end ?? -1)) tracked.caughtUpAt = Date.now();
    }
  }

  ends(source: string, ends: readonly PartitionEnd[]): void {
    for (const { partition, end } of ends) {
      const tracked = this.#tracked(source, partition);
      if (tracked.taken >= end) tracked.caughtUpAt = Date.now();
      tracked.end = end;
    }
  }
}

const keyOf = ({ kind, name }: Part): string => `${kind} ${name}`;

/** Looks at every system again and again until the stop. */
export async function watchHealth(
  { parts }: Pick<Pipeline, 'parts'>,
  health: Health,
  stop: AbortSignal,
): Promise<void> {
  const { sources, sinks, store } = parts;
  const watch = async <T>(
    part: Part,
    probe: Probe<T> | undefined,
    heard: (found: T) => void,
  ): Promise<void> => {
    if (!probe) return;
    while (!stop.aborted) {
      try {
        heard(await probe.look(timeoutMs));
        health.found(part, undefined);
      } catch (error) {
        if (!stop.aborted) health.found(part, error);
      }
      await sleep(pauseMs, undefined, { signal: stop }).catch(() => undefined);
    }
    await probe.close();
  };
  for (const { name } of sources) health.taken(name, await store.positions(name));
  await Promise.all([
    ...sources.map(source =>
      watch({ kind: 'source', name: source.name }, source.openProbe?.(), ends =>
        health.ends(source.name, ends),
      ),
    ),
    ...sinks.map(sink => watch({ kind: 'sink', name: sink.name }, sink.openProbe?.(), () => undefined)),
  ]);
}

import type { Manifest } from '../contracts/manifest.js';
import { champion, type Sink } from '../contracts/sink.js';
import { StageError } from '../errors.js';
import { type FreshSummary, refresh } from '../publish/fresh.js';
import { checkAlias } from '../publish/layout.js';
import type { ListModel, ListWeights } from '../publish/list-maker.js';
import { listsOf, startListThread } from '../publish/lists.js';
import { contentOf } from '../publish/plan.js';
import { type PublishSummary, publish } from '../publish/publish.js';
import { type RollbackSummary, rollBack } from '../publish/rollback.js';
import { type Rules, rulesOf } from '../publish/rules.js';
import { failpoint } from '../runtime/failpoint.js';
import type { PipelineParts, Progress } from './parts.js';

/** How a publication differs from the default: the newest model, as champion. */
export interface PublishSettings {
  readonly version?: string | undefined;
  readonly alias?: string | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly progress?: Progress | undefined;
}

/** Joins the publisher to a state, its models and its sinks. */
export function createPublisher(
  { store, sinks, options, itemAttributes, log }: PipelineParts,
  models: {
    readonly manifestOf: (version?: string) => Promise<Manifest>;
    readonly weightsPath: (version: string) => string;
  },
) {
  /** The change that the lists in all sinks are known to know. */
  let fresh = -1;

  /** Runs `body` with every sink connected. */
  async function withSinks<T>(body: (sinks: readonly Sink[]) => Promise<T>): Promise<T> {
    if (sinks.length === 0)
      throw new StageError('CONFIG_INVALID', 'sinks: expected at least one sink to publish to, found none');
    try {
      await Promise.all(sinks.map(sink => sink.connect(store.id)));
      return await body(sinks);
    } finally {
      await Promise.all(sinks.map(sink => sink.close().catch(() => undefined)));
    }
  }

  /** The rules of publishing over the items `keys`, with the attributes and the popularity of now. */
  async function rules(keys: readonly string[]): Promise<Rules> {
    const settings = options.publish.rules;
    const popular = settings.fallback
      ? await store.popularItems(Math.max(1000, 4 * options.publish.k))
      : undefined;
    const known = popular?.filter(item => item < keys.length);
    return rulesOf(settings, keys, await itemAttributes?.(), known, message => log.warn({}, message));
  }

  const weightsOf = ({ version }: Manifest): ListWeights => ({
    path: models.weightsPath(version),
    threads: options.threads,
  });

  async function listModel(manifest: Manifest): Promise<ListModel> {
    const keys = await store.itemKeys(manifest.items.count);
    return { ...weightsOf(manifest), keys, k: options.publish.k, rules: await rules(keys) };
  }

  /** Scores every list with a model and pushes it to every sink; pointers move last. */
  async function publishVersion(settings: PublishSettings = {}): Promise<PublishSummary> {
    const { version, alias = champion, signal, progress } = settings;
    checkAlias(alias);
    // It starts while everything else is looked up.
    const thread = startListThread(signal);
    try {
      const manifest = await models.manifestOf(version);
      thread.load(weightsOf(manifest));
      return await withSinks(async () => {
        const change = await store.newestChange();
        const model = await listModel(manifest);
        const lists = await listsOf(store, thread, model);
        try {
          const content = contentOf(manifest, change, options.publish, model.rules);
          const summary = await publish({
            manifest,
            content,
            change,
            lists,
            model: { weightsPath: model.path, items: model.keys },
            sinks,
            alias,
            log,
            progress,
            earlier: await store.publications(),
            record: version => store.recordPublication(version, content),
          });
          failpoint('publish:pointed');
          if (alias === champion) await store.markPublished(manifest.version);
          return summary;
        } finally {
          await lists.close();
        }
      });
    } finally {
      await thread.close();
    }
  }

  /** Whether some history changed since the last time this was asked and lists were made fresh. */
  async function lagging(): Promise<boolean> {
    return (await store.newestChange()) > fresh;
  }

  /** Re-scores the users whose histories changed since the lists in the sinks were made, and rewrites only theirs. */
  const publishFresh = (signal?: AbortSignal): Promise<FreshSummary> =>
    withSinks(async connected => {
      const change = await store.newestChange();
      const summary = await refresh({
        store,
        sinks: connected,
        log,
        signal,
        modelOf: async version => listModel(await models.manifestOf(version)),
      });
      fresh = change;
      return summary;
    });

  /** Switches an alias in every sink back to the version before the one it names, or to `to`. */
  const rollback = (
    settings: { readonly alias?: string | undefined; readonly to?: string | undefined } = {},
  ): Promise<RollbackSummary> =>
    withSinks(async connected => {
      const alias = settings.alias ?? champion;
      checkAlias(alias);
      const summary = await rollBack(connected, alias, settings.to);
      if (alias === champion) await store.markPublished(summary.model);
      return summary;
    });

  return { publish: publishVersion, publishFresh, lagging, rollback, withSinks };
}

import type { Manifest } from '../contracts/manifest.js';
import { champion, type Sink } from '../contracts/sink.js';
import { StageError } from '../errors.js';
import { type FreshSummary, refresh } from '../publish/fresh.js';
import { checkAlias } from '../publish/layout.js';
import type { ListModel, ModelSource } from '../publish/list-maker.js';
import { type ListThread, listsOf, startListThread } from '../publish/lists.js';
import { contentOf } from '../publish/plan.js';
import { type PublishOptions, type PublishSummary, publish } from '../publish/publish.js';
import { type RollbackSummary, rollBack } from '../publish/rollback.js';
import { rulesOf } from '../publish/rules.js';
import { type VectorSource, vectorsOf } from '../publish/vectors.js';
import { failpoint } from '../runtime/failpoint.js';
import { type FitOptions, solverOf } from '../solvers/index.js';
import type { PipelineParts, Progress } from './parts.js';

/** How a publication differs from the default: the newest model, as champion. */
export interface PublishSettings {
  readonly version?: string | undefined;
  readonly alias?: string | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly progress?: Progress | undefined;
}

/** The models that a publisher makes lists with. */
interface Models {
  readonly manifestOf: (version?: string) => Promise<Manifest>;
  readonly weightsPath: (version: string) => string;
}

/** Joins the publisher to a state, its models and its sinks. */
export function createPublisher(parts: PipelineParts, models: Models) {
  const { store } = parts;
  /** The newest change that the lists in all sinks are known to take into account. */
  let fresh = -1;

  /** Runs `body` with every sink connected. */
  const withSinks = <T>(body: (sinks: readonly Sink[]) => Promise<T>): Promise<T> =>
    withConnected(parts, body);

  /** Whether a history has changed since this pipeline last refreshed the lists. */
  async function lagging(): Promise<boolean> {
    return (await store.newestChange()) > fresh;
  }

  /** Scores the users again whose histories changed since the lists in the sinks were made, and rewrites their lists. */
  const publishFresh = (signal?: AbortSignal): Promise<FreshSummary> =>
    withSinks(async sinks => {
      const change = await store.newestChange();
      const modelOf = async (version: string): Promise<ListModel> =>
        listModel(parts, models, await models.manifestOf(version));
      const summary = await refresh({ store, sinks, log: parts.log, signal, modelOf });
      fresh = change;
      return summary;
    });

  /** Switches an alias in every sink to the version before the present one, or to `to`. */
  const rollback = (
    settings: { readonly alias?: string | undefined; readonly to?: string | undefined } = {},
  ): Promise<RollbackSummary> =>
    withSinks(async sinks => {
      const alias = settings.alias ?? champion;
      checkAlias(alias);
      const summary = await rollBack(sinks, alias, settings.to);
      if (alias === champion) await store.markPublished(summary.model);
      return summary;
    });

  return {
    /** Makes all lists with a model and writes them to every sink. Pointers move last. */
    publish: (settings: PublishSettings = {}) => publishVersion(parts, models, settings),
    publishFresh,
    lagging,
    rollback,
    withSinks,
  };
}

async function withConnected<T>(
  { store, sinks }: PipelineParts,
  body: (sinks: readonly Sink[]) => Promise<T>,
): Promise<T> {
  if (sinks.length === 0)
    throw new StageError('CONFIG_INVALID', 'sinks: expected at least one sink to publish to, found none');
  try {
    await Promise.all(sinks.map(sink => sink.connect(store.id)));
    return await body(sinks);
  } finally {
    await Promise.all(sinks.map(sink => sink.close().catch(() => undefined)));
  }
}

/** A model as lists are made with it, with the present attributes and popularity of its items. */
async function listModel(parts: PipelineParts, models: Models, manifest: Manifest): Promise<ListModel> {
  const { store, options, itemAttributes } = parts;
  const { rules: settings, k } = options.publish;
  const keys = await store.itemKeys(manifest.items.count);
  const popular = settings.fallback ? await store.popularItems(Math.max(1000, 4 * k)) : undefined;
  const known = popular?.filter(item => item < keys.length);
  const rules = rulesOf(settings, keys, await itemAttributes?.(), known, text => parts.log.warn({}, text));
  return { ...sourceOf(parts, models, manifest), keys, k, rules };
}

const sourceOf = ({ options }: PipelineParts, models: Models, { version }: Manifest): ModelSource => ({
  path: models.weightsPath(version),
  threads: options.threads,
});

async function publishVersion(
  parts: PipelineParts,
  models: Models,
  { version, alias = champion, signal, progress }: PublishSettings,
): Promise<PublishSummary> {
  checkAlias(alias);
  // The thread starts while everything else is looked up.
  const thread = startListThread(signal);
  try {
    const manifest = await models.manifestOf(version);
    thread.load(sourceOf(parts, models, manifest));
    return await withConnected(parts, async () => {
      const change = await parts.store.newestChange();
      const model = await listModel(parts, models, manifest);
      return publishLists(parts, thread, manifest, { model, change, alias, progress });
    });
  } finally {
    await thread.close();
  }
}

/** Publishes the lists of a model to the sinks, which are connected, and records that in the state. */
async function publishLists(
  { store, sinks, options, log }: PipelineParts,
  thread: ListThread,
  manifest: Manifest,
  publication: Pick<PublishOptions, 'change' | 'progress'> & { model: ListModel; alias: string },
): Promise<PublishSummary> {
  const { model, change, alias, progress } = publication;
  const vectors = options.publish.vectors ? publishedVectors(sinks, manifest, model) : undefined;
  const lists = await listsOf(store, thread, model);
  try {
    const content = contentOf(manifest, change, options.publish, model.rules);
    const summary = await publish({
      manifest,
      content,
      change,
      lists,
      model: { weightsPath: model.path, items: model.keys },
      vectors,
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
}

/** The vectors of a model's items. `CONFIG_INVALID` where the model has none, or no sink takes them. */
function publishedVectors(
  sinks: readonly Sink[],
  { solver }: Manifest,
  { path, keys }: ListModel,
): VectorSource {
  const form = solverOf({ solver } as Pick<FitOptions, 'solver'>)?.vectors;
  if (form === undefined)
    throw new StageError(
      'CONFIG_INVALID',
      `publish.vectors: expected a model of elsa or compressed-elsa, found one of ${solver}`,
    );
  if (sinks.every(sink => !sink.writeVectors))
    throw new StageError(
      'CONFIG_INVALID',
      'publish.vectors: expected a sink that keeps vectors (files, or redis with mode: versions), found none',
    );
  return vectorsOf(path, keys, form);
}

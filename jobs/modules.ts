import { divided, loadConnector } from '../connectors/module/load.js';
import type { ModuleOptions } from '../connectors/module/options.js';
import type { ConnectorKinds } from '../src/contracts/connector.js';
import { checked } from './checked.js';
import type { LoadedConfig } from './config.js';

type Block = { readonly type: string };

/** Loads the modules that a configuration names and checks their options, by the paths at which they stand. */
export async function withModules(loaded: LoadedConfig): Promise<LoadedConfig> {
  const { config, baseDirectory, origin } = loaded;
  if (!origin) return loaded;
  const { where, replaced } = origin;

  async function settled<B extends Block>(
    kind: keyof ConnectorKinds,
    block: B,
    path: readonly PropertyKey[],
  ): Promise<B> {
    if (block.type !== 'module') return block;
    const options = block as unknown as ModuleOptions;
    const at = `${where}: ${path.map(String).join('.')}`;
    const connector = await loadConnector(kind, options.module, baseDirectory, at);
    const { own, given } = divided(kind, options);
    return { ...given, ...(checked(connector.options, own, where, replaced, path) as object) } as B;
  }

  const all = <B extends Block>(kind: keyof ConnectorKinds, place: string, blocks: readonly B[]) =>
    Promise.all(blocks.map((block, k) => settled(kind, block, [place, k])));
  return {
    config: {
      ...config,
      sources: await all('source', 'sources', config.sources),
      sinks: await all('sink', 'sinks', config.sinks),
      signals: config.signals && (await settled('signals', config.signals, ['signals'])),
    },
    baseDirectory,
  };
}

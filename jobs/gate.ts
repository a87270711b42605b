import { type Verdict, verdict } from '../src/evaluate/gate.js';
import type { JobPipeline } from './job.js';

/** The verdict of the gate on a version (the newest without one); `undefined` when there is no gate or no model. */
export async function verdictOf(
  { config, parts }: JobPipeline,
  version?: string,
): Promise<Verdict | undefined> {
  const models = await parts.store.models();
  const model = version === undefined ? models.at(-1) : models.find(m => m.version === version);
  if (!config.gate || !model) return undefined;
  return verdict(config.gate, model.manifest, models.find(m => m.published)?.manifest);
}

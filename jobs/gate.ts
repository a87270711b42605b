import { type Verdict, verdict } from '../src/evaluate/gate.js';
import type { Pipeline } from './open.js';
import { earlier, recorded, type StepSettings } from './record.js';

/** What begins the detail of a publication that the gate has stopped. */
const heldBack = 'held back: ';

/** What the gate says of a version, of the newest without one; nothing when there is no gate or no model. */
export async function verdictOf({ config, parts }: Pipeline, version?: string): Promise<Verdict | undefined> {
  const models = await parts.store.models();
  const model = version === undefined ? models.at(-1) : models.find(m => m.version === version);
  if (!config.gate || !model) return undefined;
  return verdict(config.gate, model.manifest, models.find(m => m.published)?.manifest);
}

/**
 * Stands before a publication: if the gate does not let the version (the newest without one) pass, the publication is
 * recorded as done, with the reason, and the reason is returned. So it is for a trigger that ended so before.
 */
export async function holdBackStep(
  pipeline: Pipeline,
  settings: StepSettings,
  version?: string,
): Promise<string | undefined> {
  const before = await earlier(pipeline, 'publish', settings.trigger);
  if (before) return before.detail.startsWith(heldBack) ? before.detail.slice(heldBack.length) : undefined;
  const found = await verdictOf(pipeline, version);
  if (!found || found.passed) return undefined;
  const detail = `${heldBack}model ${found.version}: ${found.reason}`;
  await recorded(pipeline, 'publish', settings, async () => ({ detail }));
  return detail.slice(heldBack.length);
}

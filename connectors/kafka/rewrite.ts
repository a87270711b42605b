import { Refusal } from '../../src/publish/sink-steps.js';
import { complete, written } from './complete.js';
import { isWhole, type VersionRecord } from './models-topic.js';
import type { Opened } from './opened.js';
import { beginPublication } from './publication.js';
import { restore } from './restore.js';

/** Throws if lists of a version may be gone from the topics. */
export function assertWhole(record: VersionRecord): void {
  if (isWhole(record)) return;
  throw new Refusal(
    `the lists of ${record.version} were overwritten more than ${record.retainMs} ms ago: publish the model again`,
  );
}

/** Writes the lists of a version again, over those that have overwritten them. Its weights stay where they are. */
export async function rewrite(opened: () => Opened, record: VersionRecord): Promise<void> {
  const { models, place } = opened();
  const publication = await models.claim();
  const attempt = await beginPublication(place, { version: record.version, publication });
  try {
    const lists = await restore(place, record, attempt);
    const starts = { ...attempt.starts, weights: record.starts.weights };
    const end = await complete(opened, attempt, (ends, retainMs) => ({
      ...record,
      ...written(attempt, { ...ends, weights: record.ends.weights }, retainMs),
      starts,
      lists,
    }));
    await models.reached(end);
  } finally {
    await attempt.abandon();
  }
}

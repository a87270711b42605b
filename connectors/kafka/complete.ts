import type { Message } from 'kafkajs';
import { versionMessage } from './models.js';
import type { Offsets, VersionRecord } from './models-topic.js';
import type { Opened } from './opened.js';
import type { OpenPublication } from './publication.js';

/** What the record of a version tells of `attempt`, which has written its lists. */
export const written = (attempt: OpenPublication, ends: Offsets, retainMs: number) => ({
  complete: true as const,
  publication: attempt.stamp.publication,
  lists: { ...attempt.lists },
  starts: attempt.starts,
  ends,
  overwrittenAt: undefined,
  retainMs,
});

/** The version whose lists were the last until now says since when they are not. */
function overwritten({ models }: Opened, { beganAt, stamp }: OpenPublication): Message[] {
  const last = models.state.newest;
  if (!last || last.version === stamp.version) return [];
  return [versionMessage({ ...last, overwrittenAt: last.overwrittenAt ?? beganAt })];
}

/**
 * Completes the version that `attempt` has written, by a record that follows from the offsets behind its lists; returns
 * the offset behind the record. Throws when the lease was lost, and what `opened` throws when the sink was closed.
 */
export async function complete(
  opened: () => Opened,
  attempt: OpenPublication,
  record: (ends: Offsets, retainMs: number) => VersionRecord,
): Promise<number> {
  const { models } = opened();
  await attempt.dropVanished(models.state.newest?.starts);
  await models.assertHeld();
  return attempt.commit(ends => {
    const here = opened();
    return [...overwritten(here, attempt), versionMessage(record(ends, here.retainMs))];
  });
}

import type { ErasedIds, ForgottenLists } from '../../src/contracts/erasure.js';
import { versionMessage } from './models.js';
import type { Opened } from './opened.js';
import { beginPublication } from './publication.js';

/**
 * Puts tombstones over the lists of erased ids, under the name of every version, so that no rollback writes them again. Each
 * version is one transaction.
 */
export async function forgetInVersions(
  { models, place }: Opened,
  { users, items }: ErasedIds,
): Promise<ForgottenLists> {
  await models.claim();
  const records = [...models.state.versions.values()];
  try {
    for (const record of records) {
      const attempt = await beginPublication(place, record);
      try {
        const tombstone = (id: string) => ({ id: Buffer.from(id), value: null });
        await attempt.send('users', users.map(tombstone));
        await attempt.send('items', items.map(tombstone));
        await models.assertHeld();
        await models.reached(await attempt.commit(() => [versionMessage({ ...record, amended: true })]));
      } finally {
        await attempt.abandon();
      }
    }
  } finally {
    await models.release();
  }
  const named =
    'lists of other users and weights that name an item only she had stay until the next publication';
  return {
    deleted: records.length * (users.length + items.length),
    rewritten: 0,
    remains: [
      'the broker keeps overwritten records until it compacts the topics; consumers have what they have read',
      ...(items.length > 0 ? [`Kafka: ${named}`] : []),
    ],
  };
}

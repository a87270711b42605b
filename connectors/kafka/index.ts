/** What other programs read the published topics with; the client is loaded by the first call. */
import type { FollowedLists, FollowOptions } from './follow.js';
import type { KafkaAccess, PublishedModel, ReaderOptions } from './reader.js';

export type { FollowedLists, FollowOptions, KafkaAccess, PublishedModel, ReaderOptions };

/** Reads the model that an alias names, its weights verified; see `reader.ts`. */
export async function readModel(
  kafka: KafkaAccess,
  alias?: string,
  options?: ReaderOptions,
): Promise<PublishedModel> {
  return (await import('./reader.js')).readModel(kafka, alias, options);
}

/** Holds the lists that an alias names in memory, always of one whole version; see `follow.ts`. */
export async function followLists(
  kafka: KafkaAccess,
  alias?: string,
  options?: FollowOptions,
): Promise<FollowedLists> {
  return (await import('./follow.js')).followLists(kafka, alias, options);
}

import type { Amendment, ListFormat, ListKind } from '../../src/contracts/sink.js';
import { encodeRanked } from '../../src/publish/encode.js';
import { Refusal } from '../../src/publish/sink-steps.js';
import { versionIn, versionMessage } from './models.js';
import type { Opened } from './opened.js';
import { beginPublication } from './publication.js';

/** Changes single lists of the version that was written last, in one transaction. */
export async function amendVersion(
  { models, place }: Opened,
  version: string,
  kind: ListKind,
  { lists, gone, change }: Amendment,
  format: ListFormat,
): Promise<void> {
  await models.claim();
  const record = versionIn(models.state, version);
  if (record.publication !== models.state.newest!.publication)
    throw new Refusal(`other lists were written over those of version ${version}; publish it again`);
  const attempt = await beginPublication(place, record);
  try {
    await attempt.write(kind, encodeRanked(lists, format, version));
    await attempt.send(
      kind,
      gone.map(id => ({ id: Buffer.from(id), value: null })),
    );
    const end = await attempt.commit(() => [
      versionMessage({ ...record, amended: true, ...(change === undefined ? {} : { change }) }),
    ]);
    await models.reached(end);
  } finally {
    await attempt.abandon();
  }
}

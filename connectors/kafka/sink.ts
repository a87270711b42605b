import { randomUUID } from 'node:crypto';
import type { Message } from 'kafkajs';
import { champion, type ListFormat, type Publication, type Sink } from '../../src/contracts/sink.js';
import { encodeRanked } from '../../src/publish/encode.js';
import { checkAlias, checkVersion } from '../../src/publish/layout.js';
import {
  completeAlready,
  limitsOf,
  notBegun,
  notConnected,
  Refusal,
  sinkSteps,
} from '../../src/publish/sink-steps.js';
import { kafkaError } from './client.js';
import { forgetInVersions } from './forget.js';
import { versionIn, versionMessage } from './models.js';
import { isWhole, type Offsets, type VersionRecord } from './models-topic.js';
import { topicsOf } from './names.js';
import { type Opened, openSink } from './opened.js';
import { beginPublication, type OpenPublication, type Place } from './publication.js';
import { restore } from './restore.js';
import type { KafkaSinkOptions } from './sink-options.js';
import { chunksOf } from './weights.js';

/** Bytes of a record beside its key and value: lengths, and the two headers. */
const overheadBytes = 60;

/** A publication being written. */
interface Begun {
  readonly attempt: OpenPublication;
  readonly publication: Publication;
  readonly parts: string[];
}

/**
 * Manifests, weights and lists in Kafka topics. All records of a publication are in one transaction that ends with
 * its manifest in the models topic, so what a dead publisher left is never read. The list topics are keyed by id:
 * they hold the lists that were written last, and for `retainMs` those that these have overwritten.
 */
export function createKafkaSink(options: KafkaSinkOptions, baseDirectory = '.'): Sink {
  const topics = topicsOf(options);
  const where = `Kafka ${options.brokers.join(', ')}, prefix ${options.prefix}`;
  const said = sinkSteps(where);
  const step = <T>(expected: string, run: () => T | Promise<T>): Promise<T> =>
    said(expected, async () => {
      try {
        return await run();
      } catch (error) {
        throw (error as Error).name?.startsWith('KafkaJS') ? kafkaError(error, where, 'SINK_FAILED') : error;
      }
    });
  const format: ListFormat = { encoding: options.encoding, stamped: false };
  let opened: Opened | undefined;
  let begun: Begun | undefined;
  /** The version that the lease was last taken for. */
  let own: string | undefined;

  function connected(): Opened {
    if (!opened) throw notConnected();
    return opened;
  }
  function writing(): Begun {
    if (!begun) throw notBegun();
    return begun;
  }
  const place = ({ kafka, admin }: Opened): Place => ({
    ...options,
    topics,
    kafka,
    admin,
    group: options.clientId,
    where,
  });
  const summary = (attempt: OpenPublication, ends: Offsets) => ({
    complete: true as const,
    publication: attempt.stamp.publication,
    lists: { ...attempt.lists },
    starts: attempt.starts,
    ends,
    overwrittenAt: undefined,
    retainMs: connected().retainMs,
  });
  /** The version whose lists were the last until now says since when they are not. */
  function overwritten({ beganAt }: OpenPublication, version: string): Message[] {
    const last = connected().models.state.newest;
    if (!last || last.version === version) return [];
    return [versionMessage({ ...last, overwrittenAt: last.overwrittenAt ?? beganAt })];
  }
  async function drop(): Promise<void> {
    const last = begun;
    begun = undefined;
    await last?.attempt.abandon();
  }

  /** Writes the lists of a version again, over those that have overwritten them. */
  async function rewrite(record: VersionRecord): Promise<void> {
    const here = connected();
    if (!isWhole(record))
      throw new Refusal(
        `the lists of ${record.version} were overwritten more than ${record.retainMs} ms ago: publish the model again`,
      );
    await drop();
    const publication = await here.models.claim();
    const attempt = await beginPublication(place(here), { version: record.version, publication });
    try {
      const count = await restore(place(here), record, attempt);
      await attempt.dropVanished(here.models.state.newest?.starts);
      await here.models.assertHeld();
      const weights = { weights: record.starts.weights };
      const end = await attempt.commit(ends => [
        ...overwritten(attempt, record.version),
        versionMessage({
          ...record,
          ...summary(attempt, { ...ends, weights: record.ends.weights }),
          starts: { ...attempt.starts, ...weights },
          lists: count,
        }),
      ]);
      await here.models.reached(end);
    } finally {
      await attempt.abandon();
    }
  }

  return {
    name: 'kafka',
    ...limitsOf(options),
    format,
    overheadBytes,

    connect: (owner = randomUUID()) =>
      step('to connect', async () => {
        opened ??= await openSink(options, topics, { owner, where, baseDirectory });
      }),

    begin: publication =>
      step(`to begin version ${publication.version}`, async () => {
        const here = connected();
        const { version } = publication;
        checkVersion(version, where);
        await drop();
        own = undefined;
        await here.models.refresh();
        if (here.models.state.versions.has(version)) throw completeAlready(version);
        if (here.models.state.aliases.has(version))
          throw new Refusal(`an alias has the name of version ${version}`);
        const number = await here.models.claim();
        const attempt = await beginPublication(place(here), { version, publication: number });
        begun = { attempt, publication, parts: [] };
        own = version;
        return { users: 0, items: 0 };
      }),

    writeModel: files =>
      step('to write the weights', async () => {
        const { attempt, publication, parts } = writing();
        const { stamp } = attempt;
        const chunks = chunksOf(files, stamp, options.chunkBytes, publication.weightsChecksum);
        for await (const message of chunks) {
          await attempt.sendWeights([message]);
          parts.push(String(message.key));
        }
      }),

    write: (kind, lists) =>
      step(`to write lists of ${kind}`, async () => {
        const { attempt } = writing();
        await attempt.write(kind, encodeRanked(lists, format, attempt.stamp.version));
        return lists.length;
      }),

    writeEncoded: (kind, lists) =>
      step(`to write lists of ${kind}`, async () => {
        await writing().attempt.write(kind, lists);
        return lists.ids.length;
      }),

    finish: () =>
      step('to finish the version', async () => {
        const { attempt, publication, parts } = writing();
        const { models } = connected();
        await attempt.dropVanished(models.state.newest?.starts);
        await models.assertHeld();
        const end = await attempt.commit(ends => [
          ...overwritten(attempt, publication.version),
          versionMessage({
            ...publication,
            ...summary(attempt, ends),
            publishedAt: publication.publishedAt ?? publication.createdAt,
            parts,
          }),
        ]);
        begun = undefined;
        await models.reached(end);
      }),

    point: (version, alias = champion, expected) =>
      step(`to point ${alias} at version ${version}`, async () => {
        checkVersion(version, where);
        checkAlias(alias);
        const { models } = connected();
        while (!(await models.point({ version, alias, expected }, own === version)))
          await rewrite(versionIn(models.state, version));
      }),

    current: alias =>
      step('to read the pointer', async () => {
        const { models } = connected();
        await models.refresh();
        return models.state.aliases.get(alias ?? champion);
      }),

    pointers: () =>
      step('to read the pointers', async () => {
        const { models } = connected();
        await models.refresh();
        return models.state.aliases;
      }),

    versions: () =>
      step('to read the versions', async () => {
        const { models } = connected();
        await models.refresh();
        return [...models.state.versions.values()];
      }),

    amend: (version, kind, { lists, gone, change }) =>
      step(`to amend version ${version}`, async () => {
        const here = connected();
        await drop();
        await here.models.claim();
        const record = versionIn(here.models.state, version);
        if (record.publication !== here.models.state.newest!.publication)
          throw new Refusal(`other lists were written over those of version ${version}; publish it again`);
        const attempt = await beginPublication(place(here), record);
        try {
          await attempt.write(kind, encodeRanked(lists, format, version));
          await attempt.send(
            kind,
            gone.map(id => ({ id: Buffer.from(id), value: null })),
          );
          const end = await attempt.commit(() => [
            versionMessage({ ...record, amended: true, ...(change === undefined ? {} : { change }) }),
          ]);
          await here.models.reached(end);
        } finally {
          await attempt.abandon();
        }
      }),

    forget: erased =>
      step('to forget ids', async () => {
        await drop();
        own = undefined;
        return forgetInVersions(place, connected(), erased);
      }),

    prune: keep =>
      step('to delete superseded versions', async () => {
        await connected().models.prune(keep);
      }),

    async close() {
      const last = opened;
      opened = undefined;
      own = undefined;
      await drop().catch(() => undefined);
      await last?.models.close();
      await last?.admin.disconnect().catch(() => undefined);
    },
  };
}

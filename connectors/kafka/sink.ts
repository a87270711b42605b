import { randomUUID } from 'node:crypto';
import type { ErasedIds, ForgottenLists } from '../../src/contracts/erasure.js';
import {
  type Amendment,
  champion,
  type EncodedLists,
  type ListFormat,
  type ListKind,
  type ModelFiles,
  type Publication,
  type RankedList,
  type Sink,
  type SinkContents,
} from '../../src/contracts/sink.js';
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
import type { Probe } from '../../src/runtime/probe.js';
import { amendVersion } from './amend.js';
import { kafkaError, openKafka } from './client.js';
import { complete, written } from './complete.js';
import { forgetInVersions } from './forget.js';
import { versionIn } from './models.js';
import type { ModelsState, VersionRecord } from './models-topic.js';
import { type Topics, topicsOf } from './names.js';
import { type Opened, openSink, readModels } from './opened.js';
import { probeBrokers } from './probe.js';
import { beginPublication, type OpenPublication } from './publication.js';
import { assertWhole, rewrite } from './rewrite.js';
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
  return new KafkaSink(options, baseDirectory);
}

/**
 * At most one transaction writes lists. `#begun` has the one of a publication under way; a step that writes lists in
 * another transaction abandons it first. No version is completed after `close`: `#connected` throws then.
 */
class KafkaSink implements Sink {
  readonly name = 'kafka';
  readonly keep: number;
  readonly maxBytes: number | undefined;
  readonly format: ListFormat;
  readonly overheadBytes = overheadBytes;
  readonly #options: KafkaSinkOptions;
  readonly #baseDirectory: string;
  readonly #topics: Topics;
  readonly #where: string;
  readonly #said: ReturnType<typeof sinkSteps>;
  #opened: Opened | undefined;
  #begun: Begun | undefined;
  /** The version that the lease was last taken for. */
  #own: string | undefined;

  constructor(options: KafkaSinkOptions, baseDirectory: string) {
    this.#options = options;
    this.#baseDirectory = baseDirectory;
    this.#topics = topicsOf(options);
    this.#where = `Kafka ${options.brokers.join(', ')}, prefix ${options.prefix}`;
    this.#said = sinkSteps(this.#where);
    this.format = { encoding: options.encoding, stamped: false };
    const { keep, maxBytes } = limitsOf(options);
    this.keep = keep;
    this.maxBytes = maxBytes;
  }

  #step<T>(expected: string, run: () => T | Promise<T>): Promise<T> {
    return this.#said(expected, async () => {
      try {
        return await run();
      } catch (error) {
        const own = (error as Error).name?.startsWith('KafkaJS');
        throw own ? kafkaError(error, this.#where, 'SINK_FAILED') : error;
      }
    });
  }

  openProbe(): Probe {
    const kafka = openKafka(this.#options, this.#baseDirectory);
    return probeBrokers(kafka, this.#where, admin => admin.describeCluster());
  }

  readonly #connected = (): Opened => {
    if (!this.#opened) throw notConnected();
    return this.#opened;
  };

  get #writing(): Begun {
    if (!this.#begun) throw notBegun();
    return this.#begun;
  }

  /** What the models topic says now. */
  async #refreshed(): Promise<ModelsState> {
    const { models } = this.#connected();
    await models.refresh();
    return models.state;
  }

  async #drop(): Promise<void> {
    const last = this.#begun;
    this.#begun = undefined;
    await last?.attempt.abandon();
  }

  #as(owner: string) {
    return { owner, where: this.#where, baseDirectory: this.#baseDirectory };
  }

  connect(owner: string = randomUUID()): Promise<void> {
    const who = this.#as(owner);
    return this.#step('to connect', async () => {
      this.#opened ??= await openSink(this.#options, this.#topics, who);
    });
  }

  begin(publication: Publication): Promise<{ users: number; items: number }> {
    const { version } = publication;
    return this.#step(`to begin version ${version}`, async () => {
      const { models, place } = this.#connected();
      checkVersion(version, this.#where);
      await this.#drop();
      this.#own = undefined;
      await models.refresh();
      if (models.state.versions.has(version)) throw completeAlready(version);
      if (models.state.aliases.has(version)) throw new Refusal(`an alias has the name of version ${version}`);
      const attempt = await beginPublication(place, { version, publication: await models.claim() });
      this.#begun = { attempt, publication, parts: [] };
      this.#own = version;
      return { users: 0, items: 0 };
    });
  }

  writeModel(files: ModelFiles): Promise<void> {
    return this.#step('to write the weights', async () => {
      const { attempt, publication, parts } = this.#writing;
      const { chunkBytes } = this.#options;
      for await (const message of chunksOf(files, attempt.stamp, chunkBytes, publication.weightsChecksum)) {
        await attempt.sendWeights([message]);
        parts.push(String(message.key));
      }
    });
  }

  write(kind: ListKind, lists: readonly RankedList[]): Promise<number> {
    return this.#step(`to write lists of ${kind}`, async () => {
      const { attempt } = this.#writing;
      await attempt.write(kind, encodeRanked(lists, this.format, attempt.stamp.version));
      return lists.length;
    });
  }

  writeEncoded(kind: ListKind, lists: EncodedLists): Promise<number> {
    return this.#step(`to write lists of ${kind}`, async () => {
      await this.#writing.attempt.write(kind, lists);
      return lists.ids.length;
    });
  }

  finish(): Promise<void> {
    return this.#step('to finish the version', async () => {
      const { attempt, publication, parts } = this.#writing;
      const { models } = this.#connected();
      const end = await complete(this.#connected, attempt, (ends, retainMs) => ({
        ...publication,
        ...written(attempt, ends, retainMs),
        publishedAt: publication.publishedAt ?? publication.createdAt,
        parts,
      }));
      this.#begun = undefined;
      await models.reached(end);
    });
  }

  point(version: string, alias: string = champion, expected?: string | null): Promise<void> {
    return this.#step(`to point ${alias} at version ${version}`, async () => {
      checkVersion(version, this.#where);
      checkAlias(alias);
      const { models } = this.#connected();
      while (!(await models.point({ version, alias, expected }, this.#own === version))) {
        const record = versionIn(models.state, version);
        assertWhole(record);
        await this.#drop();
        await rewrite(this.#connected, record);
      }
    });
  }

  contents(): Promise<SinkContents> {
    return this.#step('to read what there is', async () => {
      const found = this.#opened
        ? await this.#refreshed()
        : await readModels(this.#options, this.#topics, this.#as(randomUUID()));
      return { pointers: found?.aliases ?? new Map(), versions: [...(found?.versions.values() ?? [])] };
    });
  }

  current(alias: string = champion): Promise<string | undefined> {
    return this.#step('to read the pointer', async () => (await this.#refreshed()).aliases.get(alias));
  }

  pointers(): Promise<ReadonlyMap<string, string>> {
    return this.#step('to read the pointers', async () => (await this.#refreshed()).aliases);
  }

  versions(): Promise<readonly VersionRecord[]> {
    return this.#step('to read the versions', async () => [...(await this.#refreshed()).versions.values()]);
  }

  amend(version: string, kind: ListKind, amendment: Amendment): Promise<void> {
    return this.#step(`to amend version ${version}`, async () => {
      const here = this.#connected();
      await this.#drop();
      await amendVersion(here, version, kind, amendment, this.format);
    });
  }

  forget(erased: ErasedIds): Promise<ForgottenLists> {
    return this.#step('to forget ids', async () => {
      await this.#drop();
      this.#own = undefined;
      return forgetInVersions(this.#connected(), erased);
    });
  }

  prune(keep: number): Promise<void> {
    return this.#step('to delete superseded versions', () => this.#connected().models.prune(keep));
  }

  async close(): Promise<void> {
    const last = this.#opened;
    this.#opened = undefined;
    this.#own = undefined;
    await this.#drop().catch(() => undefined);
    await last?.models.close();
    await last?.place.admin.disconnect().catch(() => undefined);
  }
}

import type { TimeUnit } from '../stages/event-time.js';
import { FlatJson } from './flat-json.js';
import { compileMapping, type Reading } from './mapping.js';
import type { MappingOptions } from './options.js';
import type { Given } from './path.js';
import type { Records } from './records.js';
import { firstLine, Undecodable } from './undecodable.js';

/** The record's own time, where its value has none. A unit that is configured holds for values only. */
export const recordTime = (unit: TimeUnit): ((timestamp: string | number) => number | Date) =>
  unit === 'auto' || unit === 'ms' || unit === 'counter'
    ? timestamp => Number(timestamp)
    : timestamp => new Date(Number(timestamp));

/** Makes events of records by a mapping, one record after the other. */
export interface RecordMapper {
  readonly readsKey: boolean;
  /** Maps a value that is JSON without a format of its own, or that `fill` puts into `given`. */
  take(value: Buffer, records: Records, fill: (given: Given) => void): void;
  /** Runs `body` for the record of this number; what it throws is why the record is no event. */
  record(sequence: number, raw: Buffer | null, records: Records, body: (given: Given) => void): void;
}

/** Compiles a mapping for records; `flatJson` if their values are JSON, which is read in a shorter way where it is flat. */
export function createRecordMapper(
  options: MappingOptions,
  reading: Reading,
  flatJson: boolean,
): RecordMapper {
  const { map, flat, readsKey } = compileMapping(options, reading);
  const json = flatJson && flat ? new FlatJson(flat.names) : undefined;
  const given: Given = {
    value: undefined,
    element: undefined,
    envelope: undefined,
    key: undefined,
    headers: undefined,
    attributes: undefined,
    timestamp: 0,
    change: undefined,
  };
  return {
    readsKey,
    take(value, records, fill) {
      if (json?.read(value)) {
        given.value = json.fields;
        flat!.map(given, records);
      } else {
        fill(given);
        map(given, records);
      }
    },
    record(sequence, raw, records, body) {
      records.begin(sequence, raw);
      try {
        body(given);
      } catch (error) {
        records.reject(
          error instanceof Undecodable
            ? { code: error.code, reason: error.reason }
            : { code: 'undecodable', reason: firstLine(error) },
        );
      }
    },
  };
}

import type { TimeRules, WeightRules } from '../../src/contracts/index.js';
import { earliest, latest, type TimeUnit } from '../../src/stages/event-time.js';
import { fixedPoint, largestWeight } from '../../src/stages/event-weight.js';
import { maxIdBytes } from '../../src/stages/identifier.js';
import { literal } from './database.js';
import { type Field, floating, isNumber, moment, quoted, wholeNumber } from './project.js';

/** By what rules SQL makes events of rows. */
export interface Rules {
  readonly weights: WeightRules;
  readonly times: TimeRules;
  /** Epoch ms. */
  readonly now: number;
  /** Where files of events are made. */
  readonly directory: string;
  /** More rows than these are taken at once. */
  readonly many: number;
}

/** A field of an event in SQL, and where it is the one that `decodeEvents` makes; elsewhere it has any value. */
interface Judged {
  readonly value: string;
  readonly sure: string;
}

/** The columns of an event, in the order of the inbox. */
export const eventColumns = ['user', 'item', 'weight', 'op', 'ts', 'id'] as const;
/** The columns of a judged query by number. */
export const columnName = (c: number): string => `c${c}`;
/** That which says whether the row is surely an event. */
export const sureColumn = columnName(eventColumns.length);

const whole = (x: string): string => `TRY_CAST(${x} AS BIGINT)`;

/** Ids of plain text need no look at what they contain, as long as they are made of digits. */
function identifier(column: string, type: string): Judged {
  if (type === 'JSON') return { value: column, sure: 'false' };
  if (wholeNumber.test(type)) return { value: column, sure: `${column} IS NOT NULL` };
  if (floating.test(type)) {
    const sure = `coalesce(${column} = trunc(${column}) AND abs(${column}) <= ${Number.MAX_SAFE_INTEGER}, false)`;
    return { value: `${whole(column)}::VARCHAR`, sure };
  }
  if (type.startsWith('DECIMAL('))
    return {
      value: `split_part(${column}, '.', 1)`,
      sure: `coalesce(regexp_full_match(${column}, '-?\\d+(\\.0*)?'), false)`,
    };
  const sure = [
    `strlen(${column}) BETWEEN 1 AND ${maxIdBytes}`,
    ...[0, 0xfffd].map(code => `NOT contains(${column}, chr(${code}))`),
    `NOT starts_with(${column}, chr(${0xfeff}))`,
  ];
  return { value: column, sure: `coalesce(${sure.join(' AND ')}, false)` };
}

/** Text is compared as bytes: a column may have a collation. */
function operation(column: string | undefined): Judged {
  if (column === undefined) return { value: '0::UTINYINT', sure: 'true' };
  const is = (name: string) => `encode(${column}::VARCHAR) = ${literal(name)}::BLOB`;
  const value = `CASE WHEN ${column} IS NULL OR ${is('add')} THEN 0 WHEN ${is('remove')} THEN 1 WHEN ${is('set')} THEN 2 WHEN ${is('alias')} THEN 3 END::UTINYINT`;
  return { value, sure: `(${value}) IS NOT NULL` };
}

function weight(column: string | undefined, type: string, op: string, rules: WeightRules): Judged {
  const ones = Number(fixedPoint(undefined, 0, rules));
  if (column === undefined) return { value: `${ones}`, sure: 'true' };
  if (type === 'JSON') return { value: `${ones}`, sure: `${column} IS NULL` };
  const plain = `regexp_full_match(${column}, '\\d{1,15}(\\.\\d{1,15})?')`;
  const x = isNumber(type) ? column : `CASE WHEN ${plain} THEN TRY_CAST(${column} AS DOUBLE) END`;
  const finite = `(isfinite(${x}) AND ${x} >= 0)`;
  const given = (value: string): Judged => {
    const all = `CASE WHEN ${column} IS NULL THEN ${ones} WHEN ${finite} THEN ${value} END`;
    return { value: all, sure: `(${all}) IS NOT NULL` };
  };
  const { interactions, scale, maxWeight } = rules;
  if (interactions === 'binary') return given(`CASE WHEN ${x} = 0 AND ${op} = 2 THEN 0 ELSE 1 END`);
  // Beyond 2³¹ a weight is too large in any scale.
  const q = `round(least(${x}, ${2 ** 31}::DOUBLE) * ${scale}::DOUBLE)`;
  const most = largestWeight(rules);
  const fits =
    maxWeight === undefined ? `CASE WHEN ${q} <= ${most} THEN ${q} END` : `least(${q}, ${most}::DOUBLE)`;
  return given(`CASE WHEN ${x} = 0 OR ${q} >= 1 THEN TRY_CAST(${fits} AS INTEGER) END`);
}

/** A DOUBLE as epoch ms, in the unit; NULL where it is not recognised. Each quotient and product is that of `eventTime`. */
function inUnit(x: string, unit: TimeUnit): string {
  switch (unit) {
    case 'days':
      return `floor(${x} * 86400000::DOUBLE + 0.001::DOUBLE)`;
    case 's':
      return `floor(${x} * 1000::DOUBLE + 0.001::DOUBLE)`;
    case 'us':
      return `floor(${x} / 1000::DOUBLE)`;
    case 'ns':
      return `floor(${x} / 1000000::DOUBLE)`;
    case 'auto': {
      const between = (times: number, named: TimeUnit) =>
        `WHEN ${x} >= ${earliest * times}::DOUBLE AND ${x} < ${latest * times}::DOUBLE THEN ${inUnit(x, named)}`;
      const date = `epoch_ms(try_strptime(${whole(x)}::VARCHAR, '%Y%m%d'))::DOUBLE`;
      return `CASE ${between(1000, 'ms')} WHEN abs(${x}) < 10000 THEN trunc(${x}) ${between(1, 's')} ${between(1e6, 'us')}
        ${between(1e9, 'ns')} WHEN ${x} BETWEEN 19700101 AND 20991231 AND ${x} = trunc(${x}) THEN ${date} END`;
    }
    default:
      return `trunc(${x})`;
  }
}

const isoText = '(19[7-9]|20\\d)\\d-\\d\\d-\\d\\d([T ]([01]\\d|2[0-3]):[0-5]\\d:[0-5]\\d(\\.\\d{1,6})?Z?)?';

function time(column: string | undefined, type: string, { times, now }: Rules): Judged {
  if (column === undefined) return { value: '0::BIGINT', sure: 'true' };
  if (type === 'JSON') return { value: '0::BIGINT', sure: `${column} IS NULL` };
  const unit = moment.test(type) ? 'ms' : times.unit;
  const text = !isNumber(type) && !moment.test(type);
  const t = text
    ? `CASE WHEN regexp_full_match(${column}, '\\d{1,15}') THEN ${inUnit(`TRY_CAST(${column} AS DOUBLE)`, unit)}
        WHEN regexp_full_match(${column}, ${literal(isoText)}) THEN epoch_ms(TRY_CAST(${column} AS TIMESTAMP))::DOUBLE END`
    : inUnit(column, unit);
  const latestTime = unit === 'counter' ? 8.64e15 : Math.min(8.64e15, now + times.maxAheadMs);
  const value = `CASE WHEN ${column} IS NULL THEN 0 WHEN (${t}) BETWEEN -8.64e15 AND ${latestTime}::DOUBLE THEN ${whole(t)} END`;
  return { value, sure: `(${value}) IS NOT NULL` };
}

/** Which column of a judged query has what. */
export interface Layout {
  /** The fields as `inner` gives them. */
  readonly fields: ReadonlyMap<Field, number>;
  readonly cursor: number | undefined;
  /** Whether the row is surely the event in the columns 0 … 5. */
  readonly sure: number | undefined;
  readonly width: number;
}

/** A judged query. */
export interface Judgement {
  readonly sql: string;
  readonly layout: Layout;
}

/** The layout of a query that is not judged: its fields, and its cursor behind them. */
export function plainLayout(fields: readonly Field[], hasCursor: boolean): Layout {
  return {
    fields: new Map(fields.map((f, c) => [f, c])),
    cursor: hasCursor ? fields.length : undefined,
    sure: undefined,
    width: fields.length + (hasCursor ? 1 : 0),
  };
}

/**
 * Makes events of the rows of `inner`, a query of fields named as such, as `decodeEvents` would: columns 0 … 5 are those
 * of `eventColumns`, then comes `sure`. Rows that are not surely that event, good or bad, are for `decodeEvents`.
 * `undefined` where all of them are.
 */
export function judged(
  inner: string,
  fields: readonly Field[],
  types: ReadonlyMap<Field, string>,
  cursor: string | undefined,
  rules: Rules,
): Judgement | undefined {
  const of = (field: Field) => (fields.includes(field) ? quoted(field) : undefined);
  const type = (field: Field) => types.get(field) ?? '';
  const id = of('id') && identifier(of('id')!, type('id'));
  const op = operation(of('op'));
  const events: Record<Field, Judged> = {
    user: identifier(of('user')!, type('user')),
    item: identifier(of('item')!, type('item')),
    weight: weight(of('weight'), type('weight'), op.value, rules.weights),
    op,
    ts: time(of('ts'), type('ts'), rules),
    id: id
      ? { ...id, sure: `(${of('id')} IS NULL OR ${id.sure})` }
      : { value: 'NULL::VARCHAR', sure: 'true' },
  };
  const sure = eventColumns.map(f => events[f].sure).filter(s => s !== 'true');
  if (sure.includes('false')) return undefined;
  const cast: Partial<Record<Field, string>> = { weight: '::INTEGER', ts: '::BIGINT' };
  const columns = [
    ...eventColumns.map(f => `(${events[f].value})${cast[f] ?? ''}`),
    sure.length > 0 ? sure.join(' AND ') : 'true',
  ];
  const positions = new Map<Field, number>();
  for (const field of fields) {
    const same = events[field].value === of(field) ? eventColumns.indexOf(field) : -1;
    positions.set(field, same >= 0 ? same : columns.push(of(field)!) - 1);
  }
  const at = cursor === undefined ? undefined : columns.push(cursor) - 1;
  const sql = `SELECT ${columns.map((c, k) => `${c} AS ${columnName(k)}`).join(', ')} FROM (${inner})`;
  return { sql, layout: { fields: positions, cursor: at, sure: eventColumns.length, width: columns.length } };
}

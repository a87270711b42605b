import { StageError } from '../../src/errors.js';

const [quote, backslash, comma, newline, space] = [0x22, 0x5c, 0x2c, 0x0a, 0x20];
const [openBracket, closeBracket, openBrace, closeBrace] = [0x5b, 0x5d, 0x7b, 0x7d];

/** A record of a body, with the number of its line or of its place in a list, from 1. */
export interface BodyRecord {
  readonly bytes: Buffer;
  readonly number: number;
}

/** How a kind of body is cut into records, and what one is called. */
export interface BodyKind {
  readonly part: 'line' | 'element';
  /** Whether its records are CloudEvents. */
  readonly cloudEvents: boolean;
  cut(body: Buffer): BodyRecord[];
}

const lines: BodyKind = { part: 'line', cloudEvents: false, cut: linesOf };
const list: BodyKind = { part: 'element', cloudEvents: false, cut: elementsOf };

/** The bodies that are understood, by media type. */
const kinds: Readonly<Record<string, BodyKind>> = {
  'application/x-ndjson': lines,
  'application/ndjson': lines,
  'application/jsonl': lines,
  'application/json': list,
  'application/cloudevents+json': { ...list, cloudEvents: true },
  'application/cloudevents-batch+json': { ...list, cloudEvents: true },
};

/** Media types that are understood. */
export const mediaTypes = Object.keys(kinds);

/** The kind of a body by its `Content-Type`. */
export const bodyKind = (contentType: string): BodyKind | undefined =>
  kinds[contentType.split(';', 1)[0]!.trim().toLowerCase()];

const blank = (byte: number | undefined): boolean =>
  byte !== undefined && (byte === space || (byte >= 9 && byte <= 13));

function trimmed(body: Buffer, from: number, to: number): Buffer {
  while (to > from && blank(body[to - 1])) to--;
  while (from < to && blank(body[from])) from++;
  return body.subarray(from, to);
}

/** The lines that are not blank. */
function linesOf(body: Buffer): BodyRecord[] {
  const found: BodyRecord[] = [];
  for (let [at, number] = [0, 1]; at < body.length; number++) {
    const newlineAt = body.indexOf(newline, at);
    const end = newlineAt < 0 ? body.length : newlineAt;
    const bytes = trimmed(body, at, end);
    if (bytes.length > 0) found.push({ bytes, number });
    at = end + 1;
  }
  return found;
}

/** The byte behind the text that begins at `at`. */
function behindText(body: Buffer, at: number): number {
  for (at++; at < body.length && body[at] !== quote; at++) if (body[at] === backslash) at++;
  return at + 1;
}

/** The elements of a list, as they stand in it; of anything else the one value. `USAGE` where the list has no end. */
function elementsOf(body: Buffer): BodyRecord[] {
  const whole = trimmed(body, 0, body.length);
  if (whole[0] !== openBracket) return whole.length > 0 ? [{ bytes: whole, number: 1 }] : [];
  const found: BodyRecord[] = [];
  let [depth, from, at] = [0, 1, 1];
  const end = (): void => void found.push({ bytes: trimmed(whole, from, at), number: found.length + 1 });
  for (; at < whole.length; at++) {
    const byte = whole[at]!;
    if (byte === quote) at = behindText(whole, at) - 1;
    else if (byte === openBrace || byte === openBracket) depth++;
    else if (depth === 0 && byte === comma) {
      end();
      from = at + 1;
    } else if (byte === closeBrace || byte === closeBracket) {
      if (depth-- === 0) break;
    }
  }
  if (at !== whole.length - 1 || whole[at] !== closeBracket)
    throw new StageError('USAGE', 'body: expected a list of JSON, found one without an end');
  if (found.length > 0 || trimmed(whole, from, at).length > 0) end();
  return found;
}

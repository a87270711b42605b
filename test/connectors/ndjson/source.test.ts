import { execFileSync } from 'node:child_process';
import { appendFileSync, mkdtempSync, renameSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { appendFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Lines } from '#connectors/ndjson/lines.js';
import { ndjsonSourceOptions } from '#connectors/ndjson/options.js';
import { createNdjsonSource } from '#connectors/ndjson/source.js';
import type { Position, Source } from '#src/contracts/index.js';
import { sourceSuite } from '../../support/source-suite.js';

const sourceOn = (path: string, more: object = {}): Source =>
  createNdjsonSource(ndjsonSourceOptions.parse({ type: 'ndjson', path, ...more }));
const textOf = (events: readonly object[]): string => events.map(e => `${JSON.stringify(e)}\n`).join('');

sourceSuite('ndjson file', directory => {
  const path = join(directory, 'events.ndjson');
  writeFileSync(path, '');
  return {
    send: events => appendFile(path, textOf(events)),
    makeSource: () => sourceOn(path, { batch: { records: 7 } }),
  };
});

sourceSuite('ndjson pipe', directory => {
  const path = join(directory, 'events.pipe');
  execFileSync('mkfifo', [path]);
  return {
    passing: true,
    // Until its reader is there, a writer waits.
    async send(events) {
      void appendFile(path, textOf(events));
    },
    makeSource: () => sourceOn(path, { batch: { records: 7, waitMs: 20 } }),
  };
});

/** Reads everything behind `positions`; returns the items, the codes of rejections, and the new positions. */
async function readAll(source: Source, positions: readonly Position[] = []) {
  const found = { items: [] as unknown[], codes: [] as string[], positions: [...positions] };
  await source.connect(positions, 'state-1');
  for (let read = await source.read(); read; read = await source.read()) {
    for (const { records, position } of read.batches) {
      const rejected = [...(records.rejected?.values() ?? [])];
      found.items.push(...Array.from(records.item).filter(item => item !== undefined));
      found.codes.push(...rejected.map(r => r.code));
      found.positions = [position];
    }
  }
  await source.close();
  return { ...found, warnings: source.warnings!() };
}

describe('a file', () => {
  let directory: string;
  let path: string;
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'ndjson-'));
    path = join(directory, 'events.ndjson');
  });
  afterEach(() => rmSync(directory, { recursive: true, force: true }));
  const line = (item: string) => `{"user":"u","item":"${item}"}\n`;

  it('takes lines with blanks, carriage returns and a byte order mark', async () => {
    writeFileSync(path, `\ufeff${line('a').trim()}\r\n\n  \n ${line('b')}`);
    expect((await readAll(sourceOn(path))).items).toEqual(['a', 'b']);
  });

  it('has its place in bytes, whatever the lines', async () => {
    writeFileSync(path, line('ä') + line('b'));
    const { positions } = await readAll(sourceOn(path));
    expect(positions).toMatchObject([
      { partition: 'lines', sequence: Buffer.byteLength(line('ä') + line('b')) - 1 },
    ]);
  });

  it('waits for the end of the last line, unless that is a whole object', async () => {
    writeFileSync(path, `${line('a')}{"user":"u","it`);
    const first = await readAll(sourceOn(path));
    expect(first.items).toEqual(['a']);
    expect(first.warnings).toEqual([expect.stringContaining('has no end yet')]);
    appendFileSync(path, 'em":"b"}');
    const second = await readAll(sourceOn(path), first.positions);
    expect(second.items).toEqual(['b']);
    appendFileSync(path, `\n${line('c')}`);
    expect((await readAll(sourceOn(path), second.positions)).items).toEqual(['c']);
  });

  it('rejects what is no JSON and what is too long, and goes on', async () => {
    const long = `{"user":"u","item":"${'x'.repeat(3e6)}"}\n`;
    writeFileSync(path, `${line('a')}nonsense\n${long}${line('b')}`);
    const { items, codes } = await readAll(sourceOn(path, { maxRecordBytes: 1000 }));
    expect(items).toEqual(['a', 'b']);
    expect(codes).toEqual(['json-invalid', 'record-too-large']);
  });

  it('refuses another file under its name, or begins it anew', async () => {
    writeFileSync(path, line('a') + line('b'));
    const { positions } = await readAll(sourceOn(path));
    renameSync(path, `${path}.1`);
    writeFileSync(path, line('c') + line('d') + line('e'));
    await expect(readAll(sourceOn(path), positions)).rejects.toMatchObject({ code: 'SOURCE_UNREADABLE' });
    const again = await readAll(sourceOn(path, { onReplaced: 'restart' }), positions);
    expect(again.items).toEqual(['c', 'd', 'e']);
    expect(again.warnings).toEqual([expect.stringContaining('read from its beginning')]);
    expect(again.positions[0]!.sequence).toBeGreaterThan(positions[0]!.sequence);
    appendFileSync(path, line('f'));
    const on = await readAll(sourceOn(path), again.positions);
    expect(on.items).toEqual(['f']);
    truncateSync(path, 5);
    await expect(readAll(sourceOn(path), on.positions)).rejects.toMatchObject({ code: 'SOURCE_UNREADABLE' });
  });

  it('says what is not there', async () => {
    await expect(sourceOn(path).connect([])).rejects.toMatchObject({
      code: 'SOURCE_UNREADABLE',
      message: expect.stringContaining('ENOENT'),
    });
    await expect(sourceOn(directory).connect([])).rejects.toMatchObject({ code: 'SOURCE_UNREADABLE' });
  });

  it('maps like the records of topics', async () => {
    const change = (op: string, before: object | null, after: object | null) =>
      `${JSON.stringify({ op, before, after, ts_ms: 1_700_000_000_000 })}\n`;
    writeFileSync(
      path,
      change('c', null, { user: 'u', item: 'a' }) + change('d', { user: 'u', item: 'a' }, null),
    );
    const source = sourceOn(path, { envelope: 'debezium' });
    await source.connect([], 's');
    const { records } = (await source.read())!.batches[0]!;
    expect([records.weight![0], records.weight![1]]).toEqual([undefined, 0]);
    await source.close();
  });
});

it('cuts lines alike, wherever the chunks end', () => {
  const bytes = Buffer.from(`a\n\nbc\nä\r\n${'x'.repeat(20)}\nend`);
  const cut = (sizes: readonly number[]) => {
    const lines = new Lines(10, 0);
    const found: [string, number][] = [];
    for (let at = 0, k = 0; at < bytes.length; k++) {
      const chunk = bytes.subarray(at, (at += sizes[k % sizes.length]!));
      lines.add(Buffer.from(chunk));
      for (let line = lines.next(); line; line = lines.next()) found.push([line.bytes.toString(), line.end]);
    }
    return [...found, lines.last().bytes.toString()];
  };
  const whole = cut([bytes.length]);
  expect(whole).toEqual([['a', 2], ['', 3], ['bc', 6], ['ä', 10], ['x'.repeat(11), 31], 'end']);
  const pieces = [[1], [2], [3, 1], [7, 5]].map(cut);
  for (const found of pieces) expect(found).toEqual(whole);
});

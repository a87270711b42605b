/** Reads an LMDB environment from end to end and, unless it is only read, begins a write, as the sink will: see `assertSound`. */
import { writeSync } from 'node:fs';
import { ABORT, open } from 'lmdb';

/** How long the lock of writers is waited for: a publisher has it for moments, unless it stands still. */
const patienceMs = 10_000;

const [path, access] = process.argv.slice(2);
const readOnly = access === 'read';
const db = open<Buffer, Uint8Array>(path!, { keyEncoding: 'binary', encoding: 'binary', readOnly });
let bytes = 0;
for (const { key, value } of db.getRange({})) bytes += key.length + (value[0] ?? 0) + (value.at(-1) ?? 0);
if (!readOnly) {
  const timer = setTimeout(() => {
    writeSync(2, `Error: another process has not let go of the lock of writers for ${patienceMs / 1000} s\n`);
    process.kill(process.pid, 'SIGKILL'); // what waits for the lock cannot be ended otherwise
  }, patienceMs);
  // A write also reads which pages are free.
  await db.childTransaction(() => {
    db.putSync(Buffer.from(' sound'), Buffer.from(String(bytes)));
    return ABORT;
  });
  clearTimeout(timer);
}
await db.close();

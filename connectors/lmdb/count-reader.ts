/** `count-reader.js PATH START END …`: prints how many keys an LMDB environment has in [START, END), in hexadecimal. */
import { open } from 'lmdb';

const [path, ...places] = process.argv.slice(2);
const db = open<Buffer, Uint8Array>(path!, { keyEncoding: 'binary', encoding: 'binary', readOnly: true });
let count = 0;
for (let k = 0; k < places.length; k += 2) {
  const [start, end] = [places[k]!, places[k + 1]!].map(place => Buffer.from(place, 'hex'));
  for (const _ of db.getKeys({ start: start!, end: end! })) count++;
}
process.stdout.write(String(count));
await db.close();

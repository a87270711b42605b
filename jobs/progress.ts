import { inLine } from './printable.js';

/** Shortest time between two plain lines, in milliseconds. */
const lineEveryMs = 2000;

/** Shows progress: on a terminal by rewriting one line, elsewhere by a plain line every two seconds at most. */
export function createProgress(stream: NodeJS.WriteStream): { show(text: string): void; clear(): void } {
  let shown = '';
  let last = 0;
  return {
    show(given) {
      const text = inLine(given);
      if (text === shown) return;
      shown = text;
      if (stream.isTTY) {
        stream.write(`\r\u001b[2K${text.slice(0, Math.max(20, (stream.columns ?? 80) - 1))}`);
        return;
      }
      const now = Date.now();
      if (now - last < lineEveryMs) return;
      last = now;
      stream.write(`${text}\n`);
    },
    clear() {
      if (stream.isTTY && shown) stream.write('\r\u001b[2K');
      shown = '';
    },
  };
}

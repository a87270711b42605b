/** Texts that databases and files have for true and false. */
const truths = new Set(['true', 't', 'yes', 'y', 'on', '1']);
const falsehoods = new Set(['false', 'f', 'no', 'n', 'off', '0', '', 'null']);

/** A truth value as databases have it: BOOLEAN, a number, BIT or a word; `undefined` for anything else. */
export function truth(x: unknown): boolean | undefined {
  if (x === null || x === undefined) return false;
  if (typeof x === 'boolean') return x;
  if (typeof x === 'number' || typeof x === 'bigint') return Number(x) !== 0;
  if (x instanceof Uint8Array) return x.some(byte => byte !== 0);
  const text = String(x)
    .trim()
    .replace(/^"(.*)"$/, '$1')
    .toLowerCase();
  if (falsehoods.has(text)) return false;
  if (truths.has(text)) return true;
  // DECIMAL and BIT come as their digits.
  return /^-?\d+(\.\d+)?$/.test(text) ? /[1-9]/.test(text) : undefined;
}

/** Text that is a decimal number and nothing else, as a CSV column of mixed content or a JSON string holds it. */
const decimal = /^\s*[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?\s*$/i;

/** Numbers, big integers and decimal text as a number; `undefined` for anything else. */
export function numeric(x: unknown): number | undefined {
  if (typeof x === 'bigint') return Number(x);
  if (typeof x === 'string') return x.length < 400 && decimal.test(x) ? Number(x) : undefined;
  return typeof x === 'number' ? x : undefined;
}

/** A text of JSON, or a number: texts are matched so that digits in them are not. */
const token = /"[^"\\]*(?:\\.[^"\\]*)*"|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/g;
/** Only such a text can hold a number that `JSON.parse` would change. */
const longNumber = /\d{16}|\d[eE]\+?\d{1,3}\s*[,}\]]/;
/** Marks exact numbers while JSON is parsed; no producer can know it. */
const mark = `${Math.random()}:`;

/** The whole number that a JSON number stands for, if float64 does not hold it exactly. */
function wholeBeyondFloat(text: string): bigint | undefined {
  if (Math.abs(Number(text)) <= Number.MAX_SAFE_INTEGER) return undefined;
  const [, sign, whole = '', fraction = '', exponent = '0'] =
    /^(-?)(\d+)(?:\.(\d+))?(?:[eE]([+-]?\d+))?$/.exec(text) ?? [];
  const shift = Number(exponent) - fraction.length;
  if (shift > 400) return undefined;
  const digits = `${whole}${fraction}`;
  const end = shift < 0 ? digits.slice(shift) : '';
  if (/[1-9]/.test(end)) return undefined;
  const kept = shift < 0 ? digits.slice(0, shift) : digits + '0'.repeat(shift);
  return BigInt(`${sign}${kept}`);
}

/** `JSON.parse`, with whole numbers beyond 2⁵³ as big integers, so that ids of 64 bits keep all their digits. */
export function parseExactJson(text: string): unknown {
  if (!longNumber.test(text)) return JSON.parse(text);
  let found = false;
  const marked = text.replace(token, t => {
    const exact = t[0] === '"' ? undefined : wholeBeyondFloat(t);
    if (exact === undefined) return t;
    found = true;
    return `"${mark}${exact}"`;
  });
  if (!found) return JSON.parse(text);
  try {
    return JSON.parse(marked, (_, x: unknown) =>
      typeof x === 'string' && x.startsWith(mark) ? BigInt(x.slice(mark.length)) : x,
    );
  } catch {
    return JSON.parse(text); // says what is wrong in the words of the original
  }
}

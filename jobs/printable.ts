/** Control characters (C0, DEL, C1), and those that break lines or turn the direction of text. */
const control = /[\p{Cc}\u2028\u2029\u202a-\u202e\u2066-\u2069]/gu;
const short: Readonly<Record<string, string>> = { '\n': '\\n', '\r': '\\r', '\t': '\\t' };

/** A value in a line of text: its control characters are shown as `\n` or `\u001b`, so that a terminal does not obey them. */
export const inLine = (text: string): string =>
  text.replace(control, c => short[c] ?? `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`);

/** As `inLine`, of a text of several lines. */
export const printable = (text: string): string => text.split('\n').map(inLine).join('\n');

/** Names of settings whose values nobody shall read, and of those that hold none but as text. */
const secret = /pass?wo?rd|passwd|passphrase|\bpwd\b|secret|^token$|api_?key|private/i;
const login = /^(sasl|auth|authorization|credentials?|login)$/i;
/** Names of variables that hold secrets. */
const secretVariable = /pass|pwd|secret|token|key|cred|auth|login|pem|cert/i;
const hidden = '(secret)';
/** Shorter texts are hidden where they stand, but not looked for elsewhere: they are in every other word. */
const shortest = 4;

/** Everything between the scheme, if there is one, and the last @: a password may have any character in it. */
const userInfo = /(\w[\w+.-]*:\/\/)([^\s'"]*)@/g;
const bareUserInfo = /^()((?!\w[\w+.-]*:\/\/)[^\s/@]*:\S*)@(?=[^\s@]+$)/;
/** Secrets in connection strings and SQL. */
const assigned =
  /\b(password|passwd|pwd|secret|token|key_id)(\s*[=:]\s*|\s+(?='))('[^']*'|"[^"]*"|[^\s;,)'"&]+)/gi;
const pem = /-----BEGIN/;

/** What was a secret in a configuration of this process; longer ones first. */
let known: readonly string[] = [];

function remember(texts: readonly string[]): void {
  const forms = texts.flatMap(t => [t, JSON.stringify(t).slice(1, -1), encodeURIComponent(t.toWellFormed())]);
  const long = forms.filter(t => t.length >= shortest && t !== hidden);
  known = [...new Set([...known, ...long])].sort((a, b) => b.length - a.length);
}

/** Remembers the value of a variable that is a secret by its name, or by its place. */
export function rememberVariable(name: string, value: string, isSecret = false): void {
  if (isSecret || secretVariable.test(name)) remember([value]);
}

/** The password, and the parts that a parser could make of it. */
function partsOf(info: string): string[] {
  const at = info.indexOf(':');
  const password = at < 0 ? info : info.slice(at + 1);
  return [password, ...password.split(/[@/:?#,]/)];
}

function secretsIn(text: string): string[] {
  const urls = text.split(/,(?=\w[\w+.-]*:\/\/)/);
  const infos = urls.flatMap(url => [...url.matchAll(userInfo), bareUserInfo.exec(url) ?? []].map(m => m[2]));
  const values = [...text.matchAll(assigned)].map(m => m[3]!.replace(/^['"]|['"]$/g, ''));
  const lines = pem.test(text)
    ? [text, ...text.split(/\s+/).filter(w => !/^-|^[A-Z]{2,11}(-+)?$/.test(w))]
    : [];
  return [...infos.flatMap(info => (info ? partsOf(info) : [])), ...values, ...lines];
}

/** The name by which a value inside of the setting `name` is judged: the keys of a `map` are data. */
const innerName = (name: string, key: string): string =>
  secret.test(name) ? name : name === 'map' ? '' : key;

/** Remembers the secrets of settings, so that `redacted` finds them in whatever is said about them. */
export function rememberSecrets(value: unknown, name = ''): void {
  if (typeof value === 'string' || typeof value === 'number')
    remember([
      ...(secret.test(name) || login.test(name) ? [String(value)] : []),
      ...secretsIn(String(value)),
    ]);
  else if (Array.isArray(value)) for (const v of value) rememberSecrets(v, name);
  else if (typeof value === 'object' && value !== null)
    for (const [key, v] of Object.entries(value)) rememberSecrets(v, innerName(name, key));
}

/** A text for people, without the secrets that this process knows. */
export function redacted(text: string): string {
  return known.reduce((t, s) => t.replaceAll(s, hidden), text);
}

const withoutUserInfo = (_: string, scheme: string, info: string): string => {
  const at = info.indexOf(':');
  return `${scheme}${at < 0 ? '' : info.slice(0, at + 1)}${hidden}@`;
};

/** Settings to be shown: secrets are replaced, and so are those within URLs and connection strings. */
export function withoutSecrets(value: unknown, name = ''): unknown {
  if (secret.test(name) && value !== undefined) return hidden;
  if (typeof value === 'string') {
    if (login.test(name) || pem.test(value)) return hidden;
    const shown = value
      .replace(userInfo, withoutUserInfo)
      .replace(bareUserInfo, withoutUserInfo)
      .replace(assigned, `$1$2${hidden}`);
    return redacted(shown);
  }
  if (Array.isArray(value)) return value.map(v => withoutSecrets(v, name));
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, v]) => [key, withoutSecrets(v, innerName(name, key))]),
  );
}

/** Names of settings whose values nobody shall read. */
const secret = /password|passphrase|secret|^token$/i;
const hidden = '(secret)';

/** Settings to be shown: secrets are replaced, and so are passwords within URLs. */
export function withoutSecrets(value: unknown, name = ''): unknown {
  if (secret.test(name) && value !== undefined) return hidden;
  if (typeof value === 'string') return value.replace(/(\/\/[^:@/]*):[^@/]*@/g, `$1:${hidden}@`);
  if (Array.isArray(value)) return value.map(v => withoutSecrets(v, name));
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, v]) => [key, withoutSecrets(v, key)]));
}

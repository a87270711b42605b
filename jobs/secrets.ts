/** Names of settings whose values are secret. */
const secret = /password|passphrase|secret|^token$/i;
const hidden = '(secret)';

/** A copy of settings for people to read: secrets, and passwords in URLs, are replaced. */
export function withoutSecrets(value: unknown, name = ''): unknown {
  if (secret.test(name) && value !== undefined) return hidden;
  if (typeof value === 'string') return value.replace(/(\/\/[^:@/]*):[^@/]*@/g, `$1:${hidden}@`);
  if (Array.isArray(value)) return value.map(v => withoutSecrets(v, name));
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, v]) => [key, withoutSecrets(v, key)]));
}

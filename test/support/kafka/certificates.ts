/** An authority, a broker's and a client's certificate for the loopback address, made by openssl. */
import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** Makes `ca.pem`, `client.pem` with `client.key`, and `broker.pem` (key and chain) in `directory`; valid for two days. */
export function makeCertificates(directory: string): void {
  const openssl = (...args: readonly string[]) =>
    execFileSync('openssl', args, { cwd: directory, stdio: ['ignore', 'pipe', 'pipe'] });
  const key = ['-newkey', 'rsa:2048', '-nodes', '-keyout'];
  openssl('req', '-x509', ...key, 'ca.key', '-out', 'ca.pem', '-subj', '/CN=tests', '-days', '2');
  writeFileSync(join(directory, 'names.cnf'), 'subjectAltName=IP:127.0.0.1,DNS:localhost\n');
  for (const name of ['broker', 'client']) {
    openssl('req', ...key, `${name}.key`, '-out', `${name}.csr`, '-subj', `/CN=${name}`);
    const signed = ['-CA', 'ca.pem', '-CAkey', 'ca.key', '-CAcreateserial', '-days', '2'];
    openssl('x509', '-req', '-in', `${name}.csr`, ...signed, '-extfile', 'names.cnf', '-out', `${name}.pem`);
  }
  const [chain, own] = ['broker.pem', 'broker.key'].map(f => readFileSync(join(directory, f), 'utf8'));
  writeFileSync(join(directory, 'broker.pem'), `${own}${chain}`);
}

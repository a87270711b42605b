import { createHash, timingSafeEqual } from 'node:crypto';
import { redacted } from '../secrets.js';

/** A JSON answer; secrets of the configuration are hidden in it. */
export const answer = (
  status: number,
  value: unknown,
  headers: Readonly<Record<string, string>> = {},
): Response =>
  new Response(redacted(JSON.stringify(value)), {
    status,
    headers: { 'content-type': 'application/json', ...headers },
  });

/** Why a request is not done, and what to do. */
export const refusal = (status: number, code: string, message: string, remedy: string): Response =>
  answer(status, { error: { code, message, remedy } });

/** Compares in constant time: hashes have one length, whatever was sent. */
export function isToken(token: string, header: string | undefined): boolean {
  const hash = (text: string): Buffer => createHash('sha256').update(text).digest();
  return timingSafeEqual(hash(`Bearer ${token}`), hash(header ?? ''));
}

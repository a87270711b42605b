import { z } from 'zod';

/** Whether a text is a port that can be connected to. */
const isPort = (text: string): boolean => /^\d{1,5}$/.test(text) && Number(text) > 0 && Number(text) < 65_536;

/** Whether a text is `host:port`; an IPv6 address stands in brackets. */
export function isHostAndPort(text: string): boolean {
  const [, port] = /^(?:\[[\da-f:.]+\]|[^\s:/[\]@]+):([^:]*)$/i.exec(text) ?? [];
  return port !== undefined && isPort(port);
}

/** Whether a text is a URL with a host and, if any, a port that can be. */
export function isUrl(text: string, protocol: RegExp): boolean {
  const url = URL.parse(text);
  return url !== null && protocol.test(url.protocol) && url.hostname !== '' && url.port !== '0';
}

/** An address that is asked over HTTP. */
export const httpUrl = z
  .string()
  .refine(
    text => isUrl(text, /^https?:$/),
    'expected a URL such as http://host:8081, its port from 1 to 65535',
  );

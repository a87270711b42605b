import { z } from 'zod';

/** HTTP, which is off unless it is set. */
export const httpOptions = z
  .strictObject({
    listen: z
      .string()
      .regex(/^(\[[\da-f:]+\]|[\w.-]+):\d{1,5}$/i, {
        error: 'expected an address and a port such as 127.0.0.1:8080',
        abort: true,
      })
      .refine(text => Number(text.slice(text.lastIndexOf(':') + 1)) < 65536, 'expected a port below 65536')
      .default('127.0.0.1:8080')
      .describe('address and port; other machines reach it only if this says so'),
    token: z
      .string()
      .min(16)
      .optional()
      .describe('bearer token of requests that change something; without it they are refused'),
  })
  .describe('health, metrics and a JSON API over HTTP');
export type HttpOptions = z.output<typeof httpOptions>;

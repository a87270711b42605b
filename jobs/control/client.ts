import { createConnection } from 'node:net';
import { StageError } from '../../src/errors.js';
import { asLine, type Reply, type Request } from './protocol.js';

/** Nobody listens on the socket: the stage that made it has died. */
const silence = new Set(['ENOENT', 'ECONNREFUSED', 'ENOTSOCK']);

/** A running stage to ask. */
export interface Running {
  ask(request: Request, heard: (progress: string) => void, signal: AbortSignal | undefined): Promise<unknown>;
}

/** Connects to the stage that listens on `path`; `undefined` where none does. */
export function connectRunning(path: string): Promise<Running | undefined> {
  const socket = createConnection(path);
  return new Promise((resolve, reject) => {
    socket.once('error', (error: NodeJS.ErrnoException) => {
      if (silence.has(error.code ?? '')) resolve(undefined);
      else
        reject(new StageError('STATE_LOCKED', `${path}: the running stage cannot be asked (${error.code})`));
    });
    socket.once('connect', () => resolve({ ask: asked(socket) }));
  });
}

/** The failure of the stage; a stage of an earlier release says no remedy. */
const failureOf = ({ code, message, remedy }: Extract<Reply, { error: unknown }>['error']): StageError =>
  new StageError(code, message, remedy === undefined ? {} : { remedy });

const asked =
  (socket: ReturnType<typeof createConnection>): Running['ask'] =>
  (request, heard, signal) =>
    new Promise((resolve, reject) => {
      let text = '';
      const take = (reply: Reply): void => {
        if ('progress' in reply) heard(reply.progress);
        else if ('error' in reply) reject(failureOf(reply.error));
        else resolve(reply.result);
      };
      const stop = (): void => void socket.destroy();
      signal?.addEventListener('abort', stop, { once: true });
      socket.setEncoding('utf8');
      socket.on('data', (part: string) => {
        text += part;
        if (!part.includes('\n')) return;
        const lines = text.split('\n');
        text = lines.pop()!;
        for (const line of lines) take(JSON.parse(line) as Reply);
      });
      socket.on('error', () => undefined);
      socket.on('close', () => {
        signal?.removeEventListener('abort', stop);
        reject(
          new StageError('INTERRUPTED', `${request.operation}: the running stage has closed the connection`),
        );
      });
      socket.write(asLine(request));
    });

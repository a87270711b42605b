import { createServer, type Socket } from 'node:net';
import type { Logger } from '../../src/contracts/index.js';
import { StageError, toStageError } from '../../src/errors.js';
import { type Host, perform } from '../operations/perform.js';
import { redacted } from '../secrets.js';
import { asLine, longestRequest, type Reply, type Request } from './protocol.js';
import { freeSocket, removeSocket } from './socket-path.js';

/** A client has so long to send its request, and to read the end of an answer. */
const requestTimeoutMs = 5000;

/** A control socket that is listened on. */
export interface Control {
  /** Stops listening, and waits for the answers under way. */
  close(): Promise<void>;
}

/**
 * Listens for commands in the directory of a state that this process holds; only its user may connect. Where the file
 * system has no sockets, the stage goes on without.
 */
export async function listenForCommands(directory: string, host: Host, log: Logger): Promise<Control> {
  const answers = new Set<Promise<void>>();
  const stopped = new AbortController();
  const server = createServer(socket => {
    const answer = attend(socket, host, stopped.signal).finally(() => answers.delete(answer));
    answers.add(answer);
  });
  try {
    const path = freeSocket(directory);
    await bound(server, path);
  } catch (error) {
    log.warn({ error: (error as Error).message }, 'no control socket: commands have to wait for the state');
    return { close: async () => undefined };
  }
  return {
    async close() {
      const closed = new Promise(done => server.close(done));
      removeSocket(directory);
      stopped.abort();
      await Promise.all(answers);
      await closed;
    },
  };
}

/** The path is bound within `listen`, so nobody finds it with other rights than the mask gives it. */
function bound(server: ReturnType<typeof createServer>, path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject).once('listening', resolve);
    const mask = process.umask(0o177);
    try {
      server.listen(path);
    } finally {
      process.umask(mask);
    }
  });
}

/** Answers one request. */
async function attend(socket: Socket, host: Host, stopped: AbortSignal): Promise<void> {
  const gone = new AbortController();
  socket.on('error', () => gone.abort()).on('close', () => gone.abort());
  const say = (reply: Reply): void => {
    if (socket.writable) socket.write(asLine(reply));
  };
  try {
    const { operation, parameters } = await requestOf(socket, stopped);
    const progress = (text: string): void => say({ progress: text });
    say({ result: (await perform(host, operation, parameters, { signal: gone.signal, progress })) ?? null });
  } catch (error) {
    const { code, message, remedy } = toStageError(error);
    say({ error: { code, message: redacted(message), remedy } });
  } finally {
    socket.end();
    // The client has closed when it has read the answer.
    if (!socket.destroyed) socket.setTimeout(requestTimeoutMs, () => socket.destroy());
  }
}

function requestOf(socket: Socket, stopped: AbortSignal): Promise<Request> {
  return new Promise<Request>((resolve, reject) => {
    let text = '';
    const refuse = (what: string): void => reject(new StageError('USAGE', `control socket: ${what}`));
    const onStop = (): void => refuse('the stage stops');
    stopped.addEventListener('abort', onStop, { once: true });
    socket.once('close', () => {
      stopped.removeEventListener('abort', onStop);
      refuse('the client has left');
    });
    // What came while this process was held up is read before a timer counts: timers come first in the event loop.
    socket
      .setEncoding('utf8')
      .setTimeout(requestTimeoutMs, () => setImmediate(refuse, 'expected a request, found none'));
    socket.on('data', (part: string) => {
      text += part;
      if (text.length > longestRequest) return refuse(`expected at most ${longestRequest} characters`);
      const end = text.indexOf('\n');
      if (end < 0) return;
      socket.setTimeout(0).removeAllListeners('data').resume();
      try {
        resolve(Object(JSON.parse(text.slice(0, end))) as Request);
      } catch {
        refuse('expected a request as JSON');
      }
    });
  });
}

/** A stage that was held up, by a machine that is too busy, answers what came meanwhile and refuses only who says nothing. */
import { once } from 'node:events';
import { createConnection } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { listenForCommands } from '#jobs/control/server.js';
import { createPipeline } from '#jobs/index.js';
import { contextOf } from '#jobs/job.js';
import { silent } from '#src/index.js';
import { temporaryDirectory } from '../../support/directory.js';

/** Longer than a client has for its request. */
const heldUpMs = 5500;

it('reads a request before its time counts as over', async () => {
  const pipeline = await createPipeline({}, { baseDirectory: temporaryDirectory() });
  const host = {
    pipeline,
    jobs: contextOf(pipeline, {}),
    inTurn: <T>(_: string, body: () => Promise<T>) => body(),
  };
  const { directory } = pipeline.parts;
  const control = await listenForCommands(directory, host, silent);
  try {
    const answer = async (request: string | undefined) => {
      const socket = createConnection(join(directory, 'control.sock')).setEncoding('utf8');
      await once(socket, 'connect');
      await sleep(100); // the stage has taken the connection
      if (request === undefined) await sleep(heldUpMs);
      else {
        await new Promise(setImmediate); // timers come next
        socket.write(request);
        Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, heldUpMs);
      }
      const [text] = (await once(socket, 'data')) as [string];
      return JSON.parse(text);
    };
    expect(await answer('{"operation":"status","parameters":{}}\n')).toMatchObject({ result: { folded: 0 } });
    expect(await answer(undefined)).toMatchObject({
      error: { message: expect.stringMatching(/expected a request, found none/) },
    });
  } finally {
    await control.close();
    await pipeline.close();
  }
});

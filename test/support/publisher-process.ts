import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { startNode } from './node-process.js';

/** A publisher in a process of its own, told line by line what to do. */
export interface PublisherProcess {
  readonly pid: number;
  /** Calls a method of its sink; the error's message if that fails. */
  call(method: string, ...args: unknown[]): Promise<{ readonly error?: string }>;
  kill(signal: NodeJS.Signals): void;
  readonly ended: Promise<unknown>;
}

/** Starts a process with a sink of `module` (`#connectors/<kind>/sink.js`), connected as `owner`. */
export async function startPublisher(
  { module, options }: { readonly module: string; readonly options: object },
  owner: string,
): Promise<PublisherProcess> {
  const child = startNode(
    `
    import { createInterface } from 'node:readline';
    const [module, options, owner] = process.argv.slice(1);
    const found = { ...(await import(module)) };
    if (!Object.keys(found).some(name => /Options$/.test(name)))
      Object.assign(found, await import(module.replace('sink.js', 'sink-options.js')));
    const named = pattern => Object.entries(found).find(([name]) => pattern.test(name))[1];
    const sink = named(/^create\\w+Sink$/)(named(/Options$/).parse(JSON.parse(options)));
    const call = async ({ method, args }) => {
      try {
        await sink[method](...args);
        return {};
      } catch (error) {
        return { error: error.message };
      }
    };
    console.log(JSON.stringify(await call({ method: 'connect', args: [owner] })));
    for await (const line of createInterface(process.stdin)) console.log(JSON.stringify(await call(JSON.parse(line))));
    `,
    [module, JSON.stringify(options), owner],
  );
  const answers = createInterface(child.stdout!)[Symbol.asyncIterator]();
  const ended = once(child, 'close');
  const answer = async (): Promise<{ error?: string }> => {
    const { value, done } = await answers.next();
    return done ? { error: 'the process ended' } : (JSON.parse(value) as { error?: string });
  };
  const connected = await answer();
  if (connected.error !== undefined) throw new Error(connected.error);
  return {
    pid: child.pid!,
    call(method, ...args) {
      child.stdin!.write(`${JSON.stringify({ method, args })}\n`);
      return answer();
    },
    kill: signal => void child.kill(signal),
    ended,
  };
}

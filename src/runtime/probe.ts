/** Looks at a system from outside of the work: whether it answers, and what it says. */
export interface Probe<T = unknown> {
  /** Asks; throws when there is no answer within `timeoutMs`. */
  look(timeoutMs: number): Promise<T>;
  close(): Promise<void>;
}

/** How a probe talks to its system. */
interface Talk<C, T> {
  open(): Promise<C>;
  ask(connection: C): Promise<T>;
  close(connection: C): unknown;
}

/** A probe with a connection of its own. It is kept from look to look, and made anew after a failure. */
export function createProbe<C, T>({ open, ask, close }: Talk<C, T>): Probe<T> {
  let opened: Promise<C> | undefined;
  const drop = async (): Promise<void> => {
    const last = opened;
    opened = undefined;
    await last?.then(close).catch(() => undefined);
  };
  return {
    async look(timeoutMs) {
      opened ??= open();
      try {
        return await within(timeoutMs, opened.then(ask));
      } catch (error) {
        void drop();
        throw error;
      }
    },
    close: drop,
  };
}

/** The result of `promise`, or an error after `ms` milliseconds. */
async function within<T>(ms: number, promise: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no answer within ${ms} ms`)), ms);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

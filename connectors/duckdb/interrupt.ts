import type { DuckDBConnection } from './client.js';

/** DuckDB forgets an interrupt when the next statement begins, so it is repeated. */
const everyMs = 20;

/** Interrupts whatever the connections run, from now on until the function that it returns is called. */
export function keepInterrupting(connections: readonly DuckDBConnection[]): () => void {
  const interrupt = (): void => {
    for (const connection of connections) connection.interrupt();
  };
  interrupt();
  const timer = setInterval(interrupt, everyMs);
  return () => clearInterval(timer);
}

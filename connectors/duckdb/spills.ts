import { createHash, randomUUID } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, rmSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';

/** Where the DuckDB of a state spills. Each opening has a folder of its own: it reads the log again, and may spill then. */
export class Spills {
  /** Common beginning of the folders; that of a state's reader, and of what is beside its DuckDB. */
  readonly path: string;
  #own: string | undefined;

  /** In a directory that is given there may be folders of other states. */
  constructor(directory: string, given: string | undefined) {
    this.path = join(directory, 'tmp');
    if (given === undefined) return;
    mkdirSync(given, { recursive: true });
    const state = createHash('sha256').update(resolve(directory)).digest('hex').slice(0, 16);
    this.path = join(given, `sansa-stream-${state}`);
  }

  /** The folder of a new opening. */
  next(): string {
    this.#own = `${this.path}.${randomUUID()}`;
    return this.#own;
  }

  /** Removes the folders of all openings but the last: nobody else has the file open. */
  clear(): void {
    const [parent, name] = [dirname(this.path), basename(this.path)];
    for (const other of existsSync(parent) ? readdirSync(parent) : [])
      if ((other === name || other.startsWith(`${name}.`)) && join(parent, other) !== this.#own)
        rmSync(join(parent, other), { recursive: true, force: true });
  }
}

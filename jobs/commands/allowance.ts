import { availableParallelism } from 'node:os';
import { assertWorkable } from '../../src/fit/memory.js';
import { parseSize } from '../../src/size.js';
import { stageOptions } from '../../src/stages/options.js';
import { type Values, wholeNumber } from '../command.js';

const { memory: defaultMemory } = stageOptions.parse({});

/** The flags of `allowanceOf`, and their help. */
export const allowanceFlags = { threads: { type: 'string' }, memory: { type: 'string' } } as const;
export const allowanceHelp = {
  threads: 'threads to use; default one a core',
  memory: `what it may use beside the fixed base of the runtime; default ${defaultMemory}`,
} as const;

/** Memory and threads of a command that works without a configuration: those of the flags, else the defaults of one. */
export function allowanceOf({ memory, threads }: Values): {
  readonly memoryBytes: number;
  readonly threads: number;
} {
  const memoryBytes = parseSize(typeof memory === 'string' ? memory : defaultMemory, '--memory');
  assertWorkable(memoryBytes);
  return {
    memoryBytes,
    threads: threads === undefined ? availableParallelism() : wholeNumber('threads', threads),
  };
}

import type { Manifest } from '#src/model/version.js';

/** A manifest of `version`, made `minute` minutes into a fixed hour. */
export function manifestOf(version: string, minute = 0): Manifest {
  return {
    format: 'sansa-stream/model@1',
    version,
    createdAt: new Date(Date.UTC(2026, 0, 1, 0, minute)).toISOString(),
    solver: 'fsai',
    options: {},
    items: { count: 3, checksum: 'c' },
    events: 4,
    users: 2,
    interactions: 4,
    parameters: 9,
    weightsChecksum: 'w',
    weightsBytes: 64,
    gramian: 'implicit',
    fit: {},
  };
}

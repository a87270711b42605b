/** How long a state keeps what it only remembers. */

/** Of records of a kind, the newest `keep` stay while they are younger than `maxAgeMs`. */
export interface Kept {
  readonly keep: number;
  readonly maxAgeMs: number;
}

/** Limits of what a state remembers. */
export interface Retention {
  /** An event id is known for this long after its event was folded; and a removal, after its item left. */
  readonly dedupeMs: number;
  readonly deadLetters: Kept;
  /** Also of signals whose outcome their source has. */
  readonly runs: Kept;
}

/** Rows that were removed. */
export type Outdated = Readonly<Record<'eventIds' | 'deadLetters' | 'runs' | 'signals', number>>;

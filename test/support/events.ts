import { type EventColumns, operations } from '#src/index.js';

/** An event as tests write it. */
export interface TestEvent {
  readonly user: string;
  readonly item: string;
  readonly weight?: number;
  readonly op?: (typeof operations)[number];
  readonly ts?: number;
  readonly id?: string;
}

/** Events as columns, numbered from `first`. */
export function columnsOf(events: readonly TestEvent[], first: number): EventColumns {
  return {
    length: events.length,
    user: events.map(e => e.user),
    item: events.map(e => e.item),
    weight: Int32Array.from(events, e => e.weight ?? 1),
    op: Uint8Array.from(events, e => operations.indexOf(e.op ?? 'add')),
    ts: Float64Array.from(events, e => e.ts ?? 0),
    id: events.map(e => e.id ?? null),
    sequence: Float64Array.from(events, (_, k) => first + k),
  };
}

import type { Records } from '../kernels.js';
import { type Address, type Arena, kernelModule } from './arena.js';

/** A class of the kernels whose fields the host writes or reads. */
export type RecordName = keyof Records;

/** Type and byte offset of each field, as the compiler of the kernels laid them out. */
interface Layout {
  readonly size: number;
  readonly fields: Readonly<Record<string, readonly [type: 'i32' | 'f64' | 'address', offset: number]>>;
}

let layouts: Readonly<Record<RecordName, Layout>> | undefined;

/** The build stores the layouts in the module: `src/kernels/declare.js`. */
function layoutOf(name: RecordName): Layout {
  if (!layouts) {
    const [section] = WebAssembly.Module.customSections(kernelModule(), 'records');
    layouts = JSON.parse(new TextDecoder().decode(section)) as Record<RecordName, Layout>;
  }
  return layouts[name];
}

/** Bytes of a record. Several in a row follow one another without a gap. */
export const recordBytes = (name: RecordName): number => layoutOf(name).size;

/** Allocates a record of the kernels' class `name` and fills all its fields. */
export const record = <N extends RecordName>(
  arena: Arena,
  name: N,
  fields: Records[N],
  what: string,
): Address => records(arena, name, [fields], what);

/** As `record`, for an array of records. */
export function records<N extends RecordName>(
  arena: Arena,
  name: N,
  all: readonly Records[N][],
  what: string,
): Address {
  const bytes = recordBytes(name);
  const at = arena.bytes(bytes * all.length, what);
  for (const [r, fields] of all.entries()) write(arena, name, at + r * bytes, fields);
  return at;
}

/** Writes some fields of the record at `at`. */
export function write<N extends RecordName>(
  arena: Arena,
  name: N,
  at: Address,
  fields: Partial<Records[N]>,
): void {
  const layout = layoutOf(name);
  const view = viewOf(arena, at, layout);
  for (const [field, value] of Object.entries(fields as Readonly<Record<string, number>>)) {
    const [type, offset] = layout.fields[field]!;
    if (type === 'f64') view.setFloat64(offset, value, true);
    else view.setInt32(offset, value, true);
  }
}

/** Reads all fields of the record at `at`. */
export function read<N extends RecordName>(arena: Arena, name: N, at: Address): Records[N] {
  const layout = layoutOf(name);
  const view = viewOf(arena, at, layout);
  const values = Object.entries(layout.fields).map(([field, [type, offset]]) => {
    if (type === 'f64') return [field, view.getFloat64(offset, true)];
    return [field, type === 'i32' ? view.getInt32(offset, true) : view.getUint32(offset, true)];
  });
  return Object.fromEntries(values) as Records[N];
}

function viewOf(arena: Arena, at: Address, { size }: Layout): DataView {
  return new DataView(arena.memory.buffer, at, size);
}

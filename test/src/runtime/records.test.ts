/** Records of the kernels: what the host writes by name is what kernels find in the fields of that name. */
import { describe, expect, it } from 'vitest';
import { Arena } from '#src/runtime/arena.js';
import { read, record, recordBytes, records, write } from '#src/runtime/records.js';

const ring = {
  blocks: 3,
  slots: 1,
  width: 512,
  capacity: 9,
  next: 0,
  consumed: 0,
  stopped: 0,
  kind: 0,
  stride: 2 ** 40 + 0.5,
  shift: 7,
  bounds: 0xfffffff0,
  ready: 0,
  starts: 0,
  indices: 0,
  values: 0,
};

describe('records of the kernels', () => {
  it('are read as they were written, over what lay there before', () => {
    const arena = new Arena(1 << 20);
    const mark = arena.mark();
    arena.u8(arena.bytes(256, 'dirt'), 256).fill(0xff);
    arena.release(mark);
    const at = record(arena, 'Ring', ring, 'ring');
    expect(read(arena, 'Ring', at)).toEqual(ring);
    write(arena, 'Ring', at, { slots: -2, stride: 1e300 });
    expect(read(arena, 'Ring', at)).toEqual({ ...ring, slots: -2, stride: 1e300 });
  });

  it('are where kernels look for their fields', () => {
    const arena = new Arena(1 << 20);
    const at = record(arena, 'Ring', ring, 'ring');
    arena.kernels.stop(at);
    expect(read(arena, 'Ring', at)).toEqual({ ...ring, stopped: 1, consumed: 3 });
    // L = [2 0; 6 1]
    const f32 = (values: number[]) => arena.copy(Float32Array.from(values), 'factor');
    const i32 = (values: number[]) => arena.copy(Int32Array.from(values), 'factor');
    const data = f32([2, 6, 1]);
    const L = record(
      arena,
      'Factor',
      { n: 2, indptr: i32([0, 2, 3]), indices: i32([0, 1, 1]), data },
      'factor',
    );
    const pivots = arena.bytes(16, 'pivots');
    arena.kernels.unitLower(L, pivots);
    expect([...arena.f32(data, 3)]).toEqual([1, 3, 1]);
    expect([...arena.f64(pivots, 2)]).toEqual([4, 1]);
  });

  it('follow one another without a gap', () => {
    const arena = new Arena(1 << 20);
    const lines = [5, 6].map(indptr => ({ indptr, indices: 1, values: 0 }));
    const at = records(arena, 'Lines', lines, 'lines');
    expect(recordBytes('Lines')).toBe(12);
    expect([...arena.i32(at, 6)]).toEqual([5, 1, 0, 6, 1, 0]);
  });
});

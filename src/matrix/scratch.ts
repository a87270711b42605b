import { aligned } from '../runtime/arena.js';

/** Bytes of the kernels' `Scattered` of n: the record, then n values, marks and a list of n with some to spare. */
export const scatteredBytes = (n: number): number => aligned(16 * n + 64);

/** Bytes of the kernels' `Best` of m: the record, then m keys and indices. */
export const bestBytes = (m: number): number => 16 + 12 * m;

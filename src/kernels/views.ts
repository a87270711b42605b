/**
 * Typed views of linear memory: `a[i]` is one load, `a[i] = x` one store, and a view is nothing but its
 * address, so that a kernel's parameters are plain pointers to the host.
 */
@unmanaged
export class View<T> {
  @inline @operator('[]')
  get(i: i32): T {
    return load<T>(changetype<usize>(this) + ((<usize>i) << alignof<T>()));
  }
  @inline @operator('[]=')
  set(i: i32, x: T): void {
    store<T>(changetype<usize>(this) + ((<usize>i) << alignof<T>()), x);
  }
}

export type U8s = View<u8>;
export type I32s = View<i32>;
export type U64s = View<u64>;
export type I64s = View<i64>;
export type F32s = View<f32>;
export type F64s = View<f64>;

/** Whether a view was given at all; absent ones are address 0. */
@inline
export function present<T>(a: View<T>): bool {
  return changetype<usize>(a) != 0;
}

/** The view that starts at a[i]. */
@inline
export function from<T>(a: View<T>, i: i32): View<T> {
  return changetype<View<T>>(changetype<usize>(a) + ((<usize>i) << alignof<T>()));
}

/** Sets a[0 … n) to zero bits. */
@inline
export function clear<T>(a: View<T>, n: i32): void {
  memory.fill(changetype<usize>(a), 0, (<usize>n) << alignof<T>());
}

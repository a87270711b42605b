// The blocked factor and inverse of the kernels `dense-cholesky` and `dense-inverse` in C, one thread. Each line of standard
// input, "d N" or "f N", inverts A_ij = 1 / (1 + |i − j|) + 5 δ_ij in double or float and prints milliseconds of the processor and the trace.
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define SIDE 64
#define AREA (SIDE * SIDE)

typedef double v2 __attribute__((vector_size(16)));
typedef float v4 __attribute__((vector_size(16)));

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
  return t.tv_sec * 1e3 + t.tv_nsec / 1e6;
}

// Everything for entries T in vectors V of W lanes: panels of P = 2 W rows.
#define DENSE(T, V, W)                                                                                      \
  static inline T *entry_##T(T *t, int i, int j) {                                                          \
    return t + i / (2 * W) * (2 * W * SIDE) + j * (2 * W) + i % (2 * W);                                    \
  }                                                                                                         \
  static inline T *tile_##T(T *tiles, int I, int J) { return tiles + ((size_t)I * (I + 1) / 2 + J) * AREA; } \
  static void product_##T(const T *A, const T *B, T *C, int minus) {                                        \
    for (int q = 0; q < SIDE; q += 4) {                                                                     \
      const T *first = B + q / (2 * W) * (2 * W * SIDE) + q % (2 * W);                                      \
      for (int p = 0; p < AREA; p += 2 * W * SIDE) {                                                        \
        const T *a = A + p, *b = first;                                                                     \
        V c[8] = {0};                                                                                       \
        for (int k = 0; k < SIDE; k++, a += 2 * W, b += 2 * W) {                                            \
          V low = *(const V *)a, high = *(const V *)(a + W);                                                \
          for (int j = 0; j < 4; j++) c[2 * j] += low * b[j], c[2 * j + 1] += high * b[j];                  \
        }                                                                                                   \
        V *to = (V *)(C + p + q * 2 * W);                                                                   \
        for (int j = 0; j < 8; j++) to[j] = minus ? to[j] - c[j] : to[j] + c[j];                            \
      }                                                                                                     \
    }                                                                                                       \
  }                                                                                                         \
  static void diagonal_##T(T *tile, T *inverse) {                                                           \
    static double L[AREA];                                                                                  \
    for (int i = 0; i < SIDE; i++)                                                                          \
      for (int j = 0; j <= i; j++) {                                                                        \
        double sum = *entry_##T(tile, i, j);                                                                \
        for (int k = 0; k < j; k++) sum -= L[i * SIDE + k] * L[j * SIDE + k];                               \
        L[i * SIDE + j] = j < i ? sum / L[j * SIDE + j] : sqrt(sum);                                        \
      }                                                                                                     \
    for (int i = 0; i < SIDE; i++)                                                                          \
      for (int j = 0; j < SIDE; j++) *entry_##T(tile, i, j) = j > i ? 0 : L[i * SIDE + j];                  \
    for (int i = SIDE - 1; i >= 0; i--) {                                                                   \
      double *row = L + i * SIDE;                                                                           \
      row[i] = 1 / row[i];                                                                                  \
      for (int j = 0; j < i; j++) row[j] *= -row[i];                                                        \
      for (int j = i - 1; j >= 0; j--) {                                                                    \
        row[j] /= L[j * SIDE + j];                                                                          \
        for (int k = 0; k < j; k++) row[k] -= row[j] * L[j * SIDE + k];                                     \
      }                                                                                                     \
    }                                                                                                       \
    for (int i = 0; i < SIDE; i++)                                                                          \
      for (int j = 0; j < SIDE; j++) *entry_##T(inverse, i, j) = j > i ? 0 : L[i * SIDE + j];               \
  }                                                                                                         \
  static double invert_##T(int n, double *trace) {                                                          \
    int rows = (n + SIDE - 1) / SIDE;                                                                       \
    size_t bytes = sizeof(T) * AREA;                                                                        \
    T *A = aligned_alloc(64, bytes * rows * (rows + 1) / 2), *inverses = aligned_alloc(64, bytes * rows);   \
    T *row = aligned_alloc(64, bytes * rows), *own = aligned_alloc(64, bytes);                              \
    for (int i = 0; i < rows * SIDE; i++)                                                                   \
      for (int j = 0; j < (i / SIDE + 1) * SIDE; j++)                                                       \
        *entry_##T(tile_##T(A, i / SIDE, j / SIDE), i % SIDE, j % SIDE) =                                   \
            i < n && j < n ? 1.0 / (1 + abs(i - j)) + 5 * (i == j) : i == j;                                \
    double start = now();                                                                                   \
    for (int J = 0; J < rows; J++) {                                                                        \
      T *inverse = inverses + (size_t)J * AREA;                                                             \
      diagonal_##T(tile_##T(A, J, J), inverse);                                                             \
      for (int I = J + 1; I < rows; I++) {                                                                  \
        T *to = tile_##T(A, I, J);                                                                          \
        for (int K = 0; K < J; K++) product_##T(tile_##T(A, I, K), tile_##T(A, J, K), to, 1);               \
        memcpy(own, to, bytes), memset(to, 0, bytes);                                                       \
        product_##T(own, inverse, to, 0);                                                                   \
        product_##T(to, to, tile_##T(A, I, I), 1);                                                          \
      }                                                                                                     \
    }                                                                                                       \
    for (int I = 0; I < rows; I++) {                                                                        \
      memcpy(row, tile_##T(A, I, 0), bytes * I);                                                            \
      for (int J = 0; J < I; J++) {                                                                         \
        memset(own, 0, bytes);                                                                              \
        for (int K = J; K < I; K++) product_##T(tile_##T(A, K, J), row + (size_t)K * AREA, own, 0);         \
        memset(tile_##T(A, I, J), 0, bytes);                                                                \
        product_##T(own, inverses + (size_t)I * AREA, tile_##T(A, I, J), 1);                                \
      }                                                                                                     \
      for (int i = 0; i < SIDE; i++)                                                                        \
        for (int j = 0; j < SIDE; j++)                                                                      \
          *entry_##T(tile_##T(A, I, I), j, i) = *entry_##T(inverses + (size_t)I * AREA, i, j);              \
    }                                                                                                       \
    for (int I = 0; I < rows; I++) {                                                                        \
      memcpy(row, tile_##T(A, I, I), bytes);                                                                \
      for (int J = 0; J <= I; J++) {                                                                        \
        T *to = tile_##T(A, I, J);                                                                          \
        memset(own, 0, bytes);                                                                              \
        product_##T(row, J == I ? row : to, own, 0);                                                        \
        for (int K = I + 1; K < rows; K++) product_##T(tile_##T(A, K, I), tile_##T(A, K, J), own, 0);       \
        memcpy(to, own, bytes);                                                                             \
      }                                                                                                     \
    }                                                                                                       \
    double ms = now() - start;                                                                              \
    *trace = 0;                                                                                             \
    for (int i = 0; i < n; i++) *trace += *entry_##T(tile_##T(A, i / SIDE, i / SIDE), i % SIDE, i % SIDE);  \
    free(A), free(inverses), free(row), free(own);                                                          \
    return ms;                                                                                              \
  }

DENSE(double, v2, 2)
DENSE(float, v4, 4)

int main(void) {
  char kind;
  for (int n; scanf(" %c %d", &kind, &n) == 2;) {
    double trace, ms = kind == 'd' ? invert_double(n, &trace) : invert_float(n, &trace);
    printf("%.3f %.12g\n", ms, trace);
    fflush(stdout);
  }
}

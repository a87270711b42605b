// The loops of the kernels `gather` (Y = XA), `multiply` (Z = YS), `gram` (C = Yᵀ Y) and `scatter` (Y = XA, A sparse) in C, one thread.
// Each line of standard input, a letter g, m, c or s, runs one and prints milliseconds of the processor and the sum of what it made.
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define SIDE 64
#define AREA (SIDE * SIDE)
#define WIDTH 256
#define TILES (WIDTH / SIDE)
#define ROWS 4096
#define ITEMS 3000
#define EACH 60
#define KEPT 32

typedef float v4 __attribute__((vector_size(16)));

static float *A, *Y, *Z, *S, *C, *Av;
static int32_t *Xp, *Xi, *Ap, *Ai;

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
  return t.tv_sec * 1e3 + t.tv_nsec / 1e6;
}

static void gather(void) {
  for (int u = 0; u < ROWS; u++) {
    v4 *restrict y = (v4 *)(Y + (size_t)u * WIDTH);
    for (int e = Xp[u]; e < Xp[u + 1]; e += 4) { // EACH is a multiple of 4
      const v4 *a[4];
      for (int k = 0; k < 4; k++) a[k] = (const v4 *)(A + (size_t)Xi[e + k] * WIDTH);
      for (int s = 0; s < WIDTH / 4; s++) y[s] = (((y[s] + a[0][s]) + a[1][s]) + a[2][s]) + a[3][s];
    }
  }
}

static void scatter(void) {
  for (int u = 0; u < ROWS; u++) {
    float *restrict y = Y + (size_t)u * WIDTH;
    for (int e = Xp[u]; e < Xp[u + 1]; e++)
      for (int f = Ap[Xi[e]]; f < Ap[Xi[e] + 1]; f++) y[Ai[f]] += Av[f];
  }
}

static void multiply(void) {
  for (int block = 0; block < ROWS; block += SIDE)
    for (int J = 0; J < TILES; J++)
      for (int u = block; u < block + SIDE; u += 4)
        for (int p = 0; p < 8; p++) {
          v4 c[8] = {0};
          const float *y = Y + (size_t)u * WIDTH;
          for (int K = 0; K < TILES; K++) {
            const float *a = S + (size_t)(J * TILES + K) * AREA + p * 8 * SIDE;
            for (int k = 0; k < SIDE; k++, a += 8, y++) {
              v4 low = *(const v4 *)a, high = *(const v4 *)(a + 4);
              for (int r = 0; r < 4; r++) c[2 * r] += low * y[r * WIDTH], c[2 * r + 1] += high * y[r * WIDTH];
            }
          }
          for (int r = 0; r < 4; r++) memcpy(Z + (size_t)(u + r) * WIDTH + J * SIDE + p * 8, c + 2 * r, 32);
        }
}

static void pack(int u, int I, float *tile) {
  for (int c = 0; c < SIDE; c++)
    for (int p = 0; p < 8; p++) memcpy(tile + p * 8 * SIDE + c * 8, Y + (size_t)(u + c) * WIDTH + I * SIDE + p * 8, 32);
}

static void gram(void) {
  static float left[AREA], right[AREA];
  for (int I = 0; I < TILES; I++)
    for (int J = 0; J <= I; J++)
      for (int u = 0; u < ROWS; u += SIDE) {
        pack(u, I, left), pack(u, J, right);
        for (int q = 0; q < SIDE; q += 4) {
          const float *first = right + q / 8 * (8 * SIDE) + q % 8;
          for (int p = 0; p < AREA; p += 8 * SIDE) {
            const float *a = left + p, *b = first;
            v4 c[8] = {0};
            for (int k = 0; k < SIDE; k++, a += 8, b += 8) {
              v4 low = *(const v4 *)a, high = *(const v4 *)(a + 4);
              for (int j = 0; j < 4; j++) c[2 * j] += low * b[j], c[2 * j + 1] += high * b[j];
            }
            v4 *to = (v4 *)(C + (size_t)(I * TILES + J) * AREA + p + q * 8);
            for (int j = 0; j < 8; j++) to[j] += c[j];
          }
        }
      }
}

static float *numbers(size_t count) {
  float *x = aligned_alloc(64, count * sizeof(float));
  for (size_t i = 0; i < count; i++) x[i] = (float)((uint32_t)(i * 2654435761u) / 4294967296.0) - 0.25f;
  return x;
}

static double sum(const float *x, size_t count) {
  double total = 0;
  for (size_t i = 0; i < count; i++) total += x[i];
  return total;
}

int main(void) {
  A = numbers((size_t)ITEMS * WIDTH), S = numbers(WIDTH * WIDTH), Av = numbers(ITEMS * KEPT), Y = numbers((size_t)ROWS * WIDTH);
  Z = numbers((size_t)ROWS * WIDTH), C = numbers(WIDTH * WIDTH);
  Xp = malloc(4 * (ROWS + 1)), Xi = malloc(4 * ROWS * EACH), Ap = malloc(4 * (ITEMS + 1)), Ai = malloc(4 * ITEMS * KEPT);
  for (int u = 0; u <= ROWS; u++) Xp[u] = u * EACH;
  for (int e = 0; e < ROWS * EACH; e++) Xi[e] = (e / EACH * 31 + e % EACH * 47) % ITEMS;
  for (int i = 0; i <= ITEMS; i++) Ap[i] = i * KEPT;
  for (int f = 0; f < ITEMS * KEPT; f++) Ai[f] = (f / KEPT * 13 + f % KEPT * 7) % WIDTH;
  char kind;
  while (scanf(" %c", &kind) == 1) {
    memset(C, 0, sizeof(float) * WIDTH * WIDTH);
    if (kind == 'g' || kind == 's') memset(Y, 0, sizeof(float) * ROWS * WIDTH);
    double start = now();
    kind == 'g' ? gather() : kind == 's' ? scatter() : kind == 'm' ? multiply() : gram();
    double ms = now() - start;
    const float *out = kind == 'm' ? Z : kind == 'c' ? C : Y;
    printf("%.4f %.9g\n", ms, sum(out, kind == 'c' ? WIDTH * WIDTH : (size_t)ROWS * WIDTH));
    fflush(stdout);
  }
}

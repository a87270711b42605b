// The loops of the kernels `norms`, `columns` and `outer` in C, driven line by line through standard input:
// n, c or o runs one and prints milliseconds and a checksum.
#include <emmintrin.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

typedef int32_t i32;
typedef int64_t i64;
typedef struct { i32 count; uint32_t squares; } Tally;

static i32 users, items, *Xp, *Xi, *Cp, *Cu, *Cr;
static i32 stride;

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1e3 + t.tv_nsec / 1e6;
}

static void flush(Tally *restrict tallies, i64 *restrict s) {
  for (i32 i = 0; i < items; i++) s[i] += tallies[i].squares;
  memset(tallies, 0, sizeof(Tally) * items);
}

static double norms(Tally *restrict tallies, i64 *restrict s) {
  i32 base = 0;
  i64 growth = 0;
  memset(s, 0, sizeof(i64) * items);
  for (i32 j = 0; j < items; j++) {
    i64 d = Cp[j + 1] - Cp[j];
    growth += d * d;
    if (base > INT32_MAX - 2 * stride || growth > UINT32_MAX) {
      flush(tallies, s);
      base = 0;
      growth = d * d;
    }
    base += stride;
    i64 own = d * d;
    for (i32 e = Cp[j]; e < Cp[j + 1]; e++) {
      for (i32 k = Cr[e], end = Xp[Cu[e] + 1]; k < end; k++) {
        Tally *t = tallies + Xi[k];
        i32 v = t->count > base ? t->count : base;
        t->count = v + 1;
        i32 step = 2 * (v - base) + 1;
        t->squares += step;
        own += step;
      }
    }
    s[j] += own;
  }
  flush(tallies, s);
  double sum = 0;
  for (i32 j = 0; j < items; j++) sum += s[j];
  return sum;
}

static double columns(i32 *restrict a, i32 *restrict indices) {
  i32 base = 0;
  double sum = 0;
  memset(a, 0, sizeof(i32) * items);
  for (i32 j = 0; j < items; j++) {
    if (base > (1 << 30) - stride) {
      memset(a, 0, sizeof(i32) * items);
      base = 0;
    }
    base += stride;
    i32 count = 0;
    for (i32 e = Cp[j]; e < Cp[j + 1]; e++) {
      for (i32 k = Cr[e], end = Xp[Cu[e] + 1]; k < end; k++) {
        i32 i = Xi[k], v = a[i];
        indices[count] = i;
        count += v < base;
        a[i] = (v > base ? v : base) + 1;
      }
    }
    for (i32 e = 0; e < count; e++) indices[e] |= (a[indices[e]] - base) << 17;
    sum += count;
  }
  return sum;
}

static double outer(i32 *restrict a, uint8_t *restrict rows, i32 *restrict indices, i32 *restrict values) {
  uint8_t *restrict groups = rows + ((items + 255) >> 8 << 8);
  i32 base = 0;
  double sum = 0;
  memset(a, 0, sizeof(i32) * items);
  for (i32 j = 0; j < items; j++) {
    if (base > INT32_MAX - 2 * stride) {
      memset(a, 0, sizeof(i32) * items);
      base = 0;
    }
    base += stride;
    for (i32 e = Cp[j]; e < Cp[j + 1]; e++) {
      for (i32 k = Xp[Cu[e]], end = Xp[Cu[e] + 1]; k < end; k++) {
        i32 i = Xi[k];
        a[i] = (a[i] > base ? a[i] : base) + 1;
        rows[i] = 0x80;
        groups[i >> 8] = 0x80;
      }
    }
    i32 p = 0;
    for (i32 g = 0; g < (items + 255) >> 8; g++) {
      if (!groups[g]) continue;
      groups[g] = 0;
      for (i32 first = g << 8; first < (g + 1) << 8; first += 64) {
        uint64_t word = 0;
        for (i32 q = 0; q < 4; q++) {
          __m128i *at = (__m128i *)(rows + first + 16 * q);
          word |= (uint64_t)_mm_movemask_epi8(_mm_loadu_si128(at)) << (16 * q);
          _mm_storeu_si128(at, _mm_setzero_si128());
        }
        for (; word; word &= word - 1) {
          i32 i = first | __builtin_ctzll(word);
          indices[p] = i;
          values[p] = a[i] - base;
          p += values[p] != 0;
        }
      }
    }
    sum += p;
  }
  return sum;
}

static i32 *part(FILE *f, i64 count) {
  i32 *a = malloc(4 * count);
  if (fread(a, 4, count, f) != (size_t)count) exit(1);
  return a;
}

int main(int argc, char **argv) {
  FILE *f = argc > 1 ? fopen(argv[1], "rb") : NULL;
  if (!f) return 2;
  i32 *head = part(f, 4);
  users = head[0], items = head[1], stride = head[3];
  Xp = part(f, users + 1), Xi = part(f, head[2]), Cp = part(f, items + 1), Cu = part(f, head[2]), Cr = part(f, head[2]);
  void *tallies = calloc(items, 8), *s = calloc(items, 8), *a = calloc(items, 4);
  void *x = malloc(4 * (items + 16)), *y = malloc(4 * (items + 16));
  void *bits = calloc(items + items / 256 + 1024, 1);
  for (int c; (c = getchar()) != EOF;) {
    if (c != 'n' && c != 'c' && c != 'o') continue;
    double start = now();
    double sum = c == 'n' ? norms(tallies, s) : c == 'c' ? columns(a, x) : outer(a, bits, x, y);
    printf("%.3f %.0f\n", now() - start, sum);
    fflush(stdout);
  }
}

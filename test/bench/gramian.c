// Selects the 20 best rows of each column of a Gramian in plain arrays, on two threads: how fast memory lets it be read.
// usage: gramian FILE n nnz; the file has indptr i64[n + 1], reach f64[n], indices i32[nnz], values i32[nnz].
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>

#define M 20
#define THREADS 2

static const int64_t *indptr;
static const int32_t *indices, *values;
static const double *reach;

typedef struct {
  int first, last;
  double sum;
} Part;

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec + t.tv_nsec * 1e-9;
}

static int worst(const double *key) {
  int at = 0;
  for (int q = 1; q < M; q++)
    if (key[q] < key[at]) at = q;
  return at;
}

static void *part(void *argument) {
  Part *p = argument;
  for (int j = p->first; j < p->last; j++) {
    double key[M], bar = 0;
    int length = 0, at = 0;
    for (int64_t e = indptr[j]; e < indptr[j + 1]; e++) {
      const int i = indices[e];
      const double k = values[e] * reach[i];
      if (k <= bar || reach[i] > reach[j] || i == j) continue;
      if (length < M) key[length++] = k;
      else key[at] = k;
      if (length == M) bar = key[at = worst(key)];
    }
    for (int q = 0; q < length; q++) p->sum += key[q];
  }
  return 0;
}

int main(int count, char **arguments) {
  if (count != 4) return 2;
  const long n = atol(arguments[2]), nnz = atol(arguments[3]);
  const int fd = open(arguments[1], O_RDONLY);
  struct stat status;
  if (fd < 0 || fstat(fd, &status)) return 1;
  const char *file = mmap(0, status.st_size, PROT_READ, MAP_SHARED | MAP_POPULATE, fd, 0);
  if (file == MAP_FAILED) return 1;
  indptr = (const int64_t *)file;
  reach = (const double *)(indptr + n + 1);
  indices = (const int32_t *)(reach + n);
  values = indices + nnz;
  pthread_t threads[THREADS];
  Part parts[THREADS];
  const double start = now();
  for (int t = 0, j = 0; t < THREADS; t++) {
    parts[t].first = j;
    while (j < n && indptr[j] < nnz * (t + 1) / THREADS) j++;
    if (t == THREADS - 1) j = n;
    parts[t].last = j;
    parts[t].sum = 0;
    pthread_create(&threads[t], 0, part, &parts[t]);
  }
  double sum = 0;
  for (int t = 0; t < THREADS; t++) {
    pthread_join(threads[t], 0);
    sum += parts[t].sum;
  }
  printf("%.3f %.6e\n", (now() - start) * 1e3, sum);
  return 0;
}

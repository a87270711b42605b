import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    testTimeout: 120_000,
    hookTimeout: 120_000,
    // Integration tests start processes of their own: two cores carry two files at once.
    maxWorkers: 2,
    pool: 'forks',
  },
});

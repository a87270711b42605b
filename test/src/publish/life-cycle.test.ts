/** Who may write, and for how long. */
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { LifeCycle } from '#src/publish/life-cycle.js';
import type { ListStore } from '#src/publish/list-store.js';
import { publicationOf } from '#src/testing/index.js';

/** A store whose versions take 200 ms to complete; counts renewals of its lease meanwhile. */
function slowStore(renewsAlone: boolean) {
  const renewals = { meanwhile: 0 };
  let completing = false;
  const store = {
    renewsAlone,
    open: async () => true,
    close: async () => undefined,
    takeLease: async () => undefined,
    renewLease: async () => {
      if (completing) renewals.meanwhile++;
      return true;
    },
    releaseLease: async () => undefined,
    versions: () => [],
    begin: async () => ({
      lists: { users: 0, items: 0 },
      put: async () => 0,
      complete: async () => {
        completing = true;
        await sleep(200);
        completing = false;
      },
      abandon: async () => undefined,
    }),
  };
  return { renewals, store: store as unknown as ListStore<never> };
}

it.each([
  [false, 'renews the lease while a version is completed'],
  [true, 'leaves the store alone while a version is completed, where it renews alone'],
])('%s: %s', async renewsAlone => {
  const { renewals, store } = slowStore(renewsAlone);
  const life = new LifeCycle(store, 60, false);
  await life.open('owner');
  await life.begin(publicationOf('v1'));
  await life.finish();
  await life.close();
  expect(renewals.meanwhile > 0).toBe(!renewsAlone);
});

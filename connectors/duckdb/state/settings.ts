import type { StateStore } from '../../../src/contracts/index.js';
import type { GramianMode, Planned } from '../../../src/gramian/plan.js';
import type { TunedOptions } from '../../../src/tune/tune.js';
import { type SerialConnection, transaction } from '../database.js';
import { storedSettings } from '../schema.js';

type Values = Readonly<Record<string, string | undefined>>;

/** What a state remembers by name beside its semantics: how the Gramian is kept, and tuned options. */
export function openSettings(
  queries: SerialConnection,
): Pick<StateStore, 'gramian' | 'setGramian' | 'tuned' | 'setTuned'> {
  // Every fold asks for them several times, and nobody else writes these.
  let known: ReadonlyMap<string, string> | undefined;
  const get = (...keys: string[]): Promise<(string | undefined)[]> =>
    queries.use(async c => {
      known ??= await storedSettings(c);
      return keys.map(key => known?.get(key));
    });
  const set = (values: Values): Promise<void> =>
    queries.use(c => {
      known = undefined;
      return transaction(c, async () => {
        for (const [key, value] of Object.entries(values)) {
          await c.run('DELETE FROM settings WHERE key = ?', [key]);
          if (value !== undefined) await c.run('INSERT INTO settings VALUES (?, ?)', [key, value]);
        }
      });
    });

  return {
    async gramian() {
      const [mode, weighting, most, planned] = await get('gramian', 'userWeighting', 'maxHistory', 'planned');
      if (mode === undefined) return undefined;
      return {
        mode: mode as GramianMode,
        userWeighting: Number(weighting ?? 0),
        maxHistory: most === undefined ? undefined : Number(most),
        planned: planned === undefined ? undefined : (JSON.parse(planned) as Planned),
      };
    },
    setGramian: ({ mode, userWeighting, maxHistory, planned }) =>
      set({
        gramian: mode,
        userWeighting: String(userWeighting),
        maxHistory: maxHistory === undefined ? undefined : String(maxHistory),
        planned: planned && JSON.stringify(planned),
      }),

    async tuned() {
      const [text] = await get('tuned');
      return text === undefined ? undefined : (JSON.parse(text) as TunedOptions);
    },
    setTuned: tuned => set({ tuned: tuned && JSON.stringify(tuned) }),
  };
}

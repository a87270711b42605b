/** Makes trials in a process of its own: a damaged file may end whoever maps it into memory. */
import { createTrials, type TrialOrder } from './trial.js';

const [root, library, redis] = process.argv.slice(2) as [string, string, string];
const trial = createTrials({ root, library, redis: redis || undefined });

process.on('message', (order: TrialOrder) => {
  trial(order).then(
    result => process.send!({ result }),
    (error: Error) => process.send!({ error: error.stack ?? error.message }),
  );
});

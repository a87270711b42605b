import { setFlagsFromString } from 'node:v8';

// Imported before everything else, because a young generation that has grown does not shrink by itself. Lists are soon
// gone: to publish or to measure them, a larger one would only hold more of them at a time (some 20 MiB).
if (process.argv[2] === 'publish' || process.argv[2] === 'evaluate')
  setFlagsFromString('--semi-space-growth-factor=1');

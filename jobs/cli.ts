#!/usr/bin/env node
import { holdYoungGeneration } from '../src/runtime/collector.js';

// Records and lists are short-lived garbage, for which a small young generation is enough. Set it before other imports
// make it grow.
holdYoungGeneration();
if (process.argv[2] === 'publish')
  void import('../src/publish/lists.js').then(lists => lists.readyListThread());
const { main } = await import('./main.js');
process.exitCode = await main(process.argv.slice(2));

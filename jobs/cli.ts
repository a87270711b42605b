#!/usr/bin/env node
import { readFileSync } from 'node:fs';

if (process.argv[2] === '--version') {
  const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8'));
  process.stdout.write(`${version}\n`);
} else {
  // Records and lists are short-lived garbage, for which a small young generation is enough. Set it before other imports
  // make it grow.
  const { holdYoungGeneration } = await import('../src/runtime/collector.js');
  holdYoungGeneration();
  if (process.argv[2] === 'publish')
    void import('../src/publish/lists.js').then(lists => lists.readyListThread());
  const { main } = await import('./main.js');
  process.exitCode = await main(process.argv.slice(2));
  // A client may leave a connection behind that it made while it was closed; all is done, so nothing waits for it.
  setTimeout(() => process.exit(), 2000).unref();
}

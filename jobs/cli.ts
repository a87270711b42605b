#!/usr/bin/env node
import { readyListThread } from '../src/publish/lists.js';
import { holdYoungGeneration } from '../src/runtime/collector.js';

// Before the rest is loaded, which makes it grow: to publish or to measure lists, which are soon gone, takes little.
if (process.argv[2] === 'publish' || process.argv[2] === 'evaluate') holdYoungGeneration();
if (process.argv[2] === 'publish') readyListThread();
const { main } = await import('./main.js');
process.exitCode = await main(process.argv.slice(2));

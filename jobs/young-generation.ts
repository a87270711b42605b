import { holdYoungGeneration } from '../src/young-generation.js';

// Imported before everything else: to publish or to measure lists, which are soon gone, takes little that is young.
if (process.argv[2] === 'publish' || process.argv[2] === 'evaluate') holdYoungGeneration();

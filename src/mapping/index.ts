/** How records become events: one mapping for every source. */
export { compileMapping, type Mapping, type MapRecord, type Taken } from './mapping.js';
export { type FieldOptions, fieldOptions, type MappingOptions, mappingOptions } from './options.js';
export type { Given } from './path.js';
export { isTable, pathsIn } from './place.js';
export { fieldsOf } from './presets.js';
export { firstLine, Undecodable } from './undecodable.js';

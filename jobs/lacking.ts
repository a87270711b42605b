import type { Settings } from './settings.js';

/** Says what a configuration leaves undone for want of a source or a sink; undefined if it has both. */
export function lacking({ sources, sinks }: Pick<Settings, 'sources' | 'sinks'>): string | undefined {
  if (sources.length + sinks.length === 0)
    return 'nothing to do: no source brings events, and no sink takes lists';
  if (sources.length === 0) return 'no source brings events';
  if (sinks.length === 0) return 'no sink takes lists; `recommend` and `similar` still answer';
  return undefined;
}

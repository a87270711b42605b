/** Jobs and checks that run at once, here or in the running stage. */
import { mebibytes } from '../../src/size.js';
import { type Command, count } from '../command.js';

export const fold: Command = {
  summary: 'fold the inbox into the interactions and the Gramian',
  usage: '-c pipeline.yaml',
  async run({ ask }) {
    const found = await ask('fold', {});
    const text = `${count(found.events)} events folded; ${count(found.users)} users, ${count(found.items)} items, ${count(found.interactions)} interactions`;
    return { json: found, text };
  },
};

export const compact: Command = {
  summary: 'let items leave that nobody has any more, and merge the segments of the Gramian into one',
  usage: '-c pipeline.yaml',
  async run({ ask }) {
    const { items, merged } = await ask('compact', {});
    const left = items > 0 ? `${count(items)} items that nobody has any more are gone\n` : '';
    const text = merged > 0 ? `${merged} segments merged into one` : 'nothing to merge';
    return { json: { items, merged }, text: left + text };
  },
};

export const verify: Command = {
  summary: 'compare the stored Gramian with the histories, and files with their checksums',
  usage: '-c pipeline.yaml',
  async run({ ask }) {
    const found = await ask('verify', {});
    const text =
      found.mode === 'stored'
        ? `${found.differing} of ${count(found.entries)} entries differ`
        : `0 entries differ: the Gramian is ${found.mode === 'none' ? 'empty' : 'computed from the histories'}`;
    const broken = found.broken.map(f => `\nchecksum does not match: ${f}`).join('');
    return { json: found, text: text + broken, exitCode: found.ok ? 0 : 1 };
  },
};

export const refit: Command = {
  summary: 'fold, fit a model and publish it if the gate lets it pass, as a scheduled refit does',
  usage: '-c pipeline.yaml [--no-publish]',
  options: { 'no-publish': { type: 'boolean' } },
  help: { 'no-publish': 'leave the feed as it is' },
  async run({ ask, values }) {
    const found = await ask('refit', values['no-publish'] ? { publish: false } : {});
    return { json: found, text: `${found.version ? `model ${found.version}: ` : ''}${found.message}` };
  },
};

export const publish: Command = {
  summary: 'push the lists of a model (the newest without --version) to the sinks',
  usage: '-c pipeline.yaml [--version V] [--alias A | --fresh]',
  options: { version: { type: 'string' }, alias: { type: 'string' }, fresh: { type: 'boolean' } },
  help: {
    version: 'model version',
    alias: 'pointer to switch; default champion, which readers follow unless told otherwise',
    fresh: 'only rewrite the lists of users whose histories changed',
  },
  async run({ ask, values }) {
    if (values.fresh) {
      const fresh = await ask('fresh', {});
      const { rewritten, deleted, seconds } = fresh;
      const text = `${count(rewritten)} lists rewritten, ${count(deleted)} deleted in ${seconds.toFixed(1)} s`;
      return { json: fresh, text };
    }
    const { version, alias } = values as { version?: string; alias?: string };
    const summary = await ask('publish', { version, alias });
    const { users, items, listsPerSecond } = summary;
    const lines = summary.sinks.map(s => {
      const share = s.written + s.kept > 0 ? s.kept / (s.written + s.kept) : 0;
      const kept = s.kept > 0 ? `, ${(share * 100).toFixed(1)}% were there` : '';
      return `${s.name}: ${count(s.written)} lists written${kept}; about ${mebibytes(s.estimatedBytes)} in all`;
    });
    const text = `version ${summary.version} is ${summary.alias}: ${count(users)} user lists and ${count(items)} item lists, ${count(Math.round(listsPerSecond))} lists/s`;
    return { json: summary, text: [text, ...lines].join('\n') };
  },
};

export const rollback: Command = {
  summary: 'switch the feed back to the version before, or to --to, without writing a list',
  usage: '-c pipeline.yaml [--alias A] [--to V]',
  options: { alias: { type: 'string' }, to: { type: 'string' } },
  help: { alias: 'pointer to switch; default champion', to: 'a version in the sinks' },
  async run({ ask, values }) {
    const { alias, to } = values as { alias?: string; to?: string };
    const summary = await ask('rollback', { alias, to });
    return { json: summary, text: `${summary.alias}: ${summary.from} → ${summary.version}` };
  },
};

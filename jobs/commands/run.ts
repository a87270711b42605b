import type { Command } from '../command.js';
import { lacking } from '../lacking.js';
import { serve } from '../service.js';

export const run: Command = {
  summary:
    'keep the whole stage going: ingest, fold, refit and publish, until SIGTERM; stands by while another has the state',
  usage: '-c pipeline.yaml [--memory SIZE] [--threads N]',
  options: { memory: { type: 'string' }, threads: { type: 'string' } },
  help: { memory: 'in place of the configured memory', threads: 'in place of the configured threads' },
  async run({ pipeline, config, log: openLog, signal }) {
    const log = await openLog();
    const { http: options } = (await config()).config;
    const http = options && (await import('../http/server.js')).openHttp(options, log);
    const stopped = { json: { stopped: true }, text: '' };
    try {
      const p = await pipeline({ standBy: true }).catch(error => {
        if (!signal.aborted) throw error;
      });
      if (!p) return stopped;
      log.info(
        {
          state: p.parts.directory,
          sources: p.parts.sources.map(s => s.name),
          sinks: p.parts.sinks.map(s => s.name),
        },
        'started',
      );
      const missing = lacking(p.config);
      if (missing) log.warn({}, missing);
      await serve(p, log, signal, http);
      log.info({}, 'stopped');
      return stopped;
    } finally {
      await http?.close();
    }
  },
};

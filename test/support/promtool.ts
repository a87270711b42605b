/** The alerts of examples/monitoring, evaluated by Prometheus' own tool over samples that were really scraped. */
import { execFileSync, spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

export const monitoring = join(import.meta.dirname, '../../examples/monitoring');

/** Whether tests with promtool are skipped, which is said; throws instead where services are required. */
export function skipped(): boolean {
  const missing = spawnSync('promtool', ['--version']).status !== 0;
  if (missing && process.env.REQUIRE_SERVICES === '1') throw new Error('promtool is required');
  if (missing) console.warn('skipped: tests of alerts: no promtool');
  return missing;
}

/** Runs `promtool test rules`; returns what it says, and throws when a test fails. */
export const testRules = (directory: string, ...files: string[]): string =>
  execFileSync('promtool', ['test', 'rules', ...files], { cwd: directory, encoding: 'utf8' });

/** Alerts that have to fire at a scrape, as series of ALERTS without their state. */
export interface Expected {
  readonly scrape: number;
  readonly firing: readonly string[];
}

/** Scrapes of one process, `secondsApart` in the eyes of the rules. */
export class Scrapes {
  readonly #scrapes: ReadonlyMap<string, string>[] = [];
  readonly #secondsApart: number;
  /** Names of metrics that the rules know. */
  readonly #known = new Set(
    readFileSync(join(monitoring, 'rules.yaml'), 'utf8').match(/\b(sansa_stream|process)_\w+/g),
  );

  constructor(secondsApart: number) {
    this.#secondsApart = secondsApart;
  }

  get count(): number {
    return this.#scrapes.length;
  }

  add(text: string): void {
    const samples = new Map<string, string>();
    for (const line of text.split('\n')) {
      const [, series, value] = /^((\w+)(?:\{.*\})?) (\S+)$/.exec(line)?.filter((_, k) => k !== 2) ?? [];
      if (series && this.#known.has(series.split('{', 1)[0]!)) samples.set(series, Number(value).toFixed(6));
    }
    this.#scrapes.push(samples);
  }

  /** Evaluates the rules over all scrapes; throws when other alerts fire than expected. */
  expectAlerts(directory: string, expected: readonly Expected[]): void {
    const series = new Set(this.#scrapes.flatMap(samples => [...samples.keys()]));
    const test = {
      interval: `${this.#secondsApart}s`,
      input_series: [...series].map(name => ({
        series: name,
        values: this.#scrapes.map(samples => samples.get(name) ?? '_').join(' '),
      })),
      promql_expr_test: expected.map(({ scrape, firing }) => ({
        expr: 'ALERTS{alertstate="firing"}',
        eval_time: `${scrape * this.#secondsApart}s`,
        exp_samples: firing.map(labels => ({ labels, value: 1 })),
      })),
    };
    const rules = { rule_files: [join(monitoring, 'rules.yaml')], evaluation_interval: '15s', tests: [test] };
    writeFileSync(join(directory, 'scraped-test.yaml'), JSON.stringify(rules));
    testRules(directory, 'scraped-test.yaml');
  }
}

/**
 * Runs, their steps and the batches of sources as spans of OpenTelemetry. They go to the SDK that the user's process has
 * loaded before; without one they go nowhere.
 */
import type * as OpenTelemetry from '@opentelemetry/api';
import { toStageError } from '../src/errors.js';
import { required } from '../src/runtime/require.js';
import type { Stage } from '../src/stages/pipeline.js';
import type { Observer } from './observe.js';
import { redacted } from './secrets.js';

/** The package is loaded with the first span: commands that read need none. */
const api = () => required('@opentelemetry/api') as typeof OpenTelemetry;
const tracer = (): OpenTelemetry.Tracer => api().trace.getTracer('sansa-stream');

/** Steps of jobs that have a span of their own. */
const steps = [
  'fold',
  'dropItems',
  'measureModel',
  'fit',
  'publish',
  'publishFresh',
  'rollback',
  'tune',
  'forget',
] as const satisfies readonly (keyof Stage)[];

/** Runs `body` within a span, which has the code of its failure. */
export function traced<T>(
  name: string,
  attributes: OpenTelemetry.Attributes,
  body: () => Promise<T>,
): Promise<T> {
  return tracer().startActiveSpan(name, { attributes }, async span => {
    try {
      return await body();
    } catch (error) {
      const { code, message } = toStageError(error);
      span.setAttribute('error.type', code);
      span.setStatus({ code: api().SpanStatusCode.ERROR, message: redacted(message) });
      throw error;
    } finally {
      span.end();
    }
  });
}

/** The stage with a span around each step. */
export function tracedSteps<P extends Stage>(stage: P): P {
  const within = steps.map(step => {
    const body = stage[step] as (...given: unknown[]) => Promise<unknown>;
    return [step, (...given: unknown[]) => traced(step, {}, () => body(...given))] as const;
  });
  return { ...stage, ...Object.fromEntries(within) };
}

/** The observer that makes a span of each batch, of the time that the state took to store it. */
export const tracing: Observer = {
  batch(source, { read, events, deadLetters, commitSeconds }) {
    const end = Date.now();
    const attributes = { source, read, events, deadLetters };
    tracer()
      .startSpan('ingest', { startTime: end - 1000 * commitSeconds, attributes })
      .end(end);
  },
};

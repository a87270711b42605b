import cron, { type ScheduledTask } from 'node-cron';

const second = 1000;
const day = 86_400_000;

/**
 * The times of a cron expression on the clocks of a time zone, where the clocks are changed: a time that they leave out
 * is due when they go on, and one that comes twice is due the first time. Only jobs of every hour are due in both
 * hours, because they would stand still in one of them.
 *
 * node-cron reads the expression. It is asked in UTC, which leaves out and repeats nothing, and its matches are times
 * on the wall: milliseconds as if the clocks showed UTC.
 */
export class DueTimes {
  readonly #times: ScheduledTask;
  readonly #zone: Intl.DateTimeFormat;
  /** A wall time that matches, and the hours, minutes and seconds of the day that do, in milliseconds. */
  readonly #some: number;
  readonly #hours: readonly number[];
  readonly #minutes: readonly number[];
  readonly #seconds: readonly number[];

  constructor(expression: string, timezone: string) {
    this.#times = cron.createTask(expression, () => undefined, { timezone: 'UTC' });
    const fields = { year: 'numeric', month: 'numeric', day: 'numeric' } as const;
    const clock = { hour: 'numeric', minute: 'numeric', second: 'numeric', hourCycle: 'h23' } as const;
    this.#zone = new Intl.DateTimeFormat('en-US', { timeZone: timezone, ...fields, ...clock });
    this.#some = Math.floor(this.#times.getNextRuns(1)[0]!.getTime() / second) * second;
    const matching = (count: number, unit: number): readonly number[] => {
      const zero = this.#some - (Math.floor(this.#some / unit) % count) * unit;
      const steps = Array.from({ length: count }, (_, k) => k * unit);
      return steps.filter(step => this.#times.match(new Date(zero + step)));
    };
    this.#hours = matching(24, 3600 * second);
    this.#minutes = matching(60, 60 * second);
    this.#seconds = matching(60, second);
  }

  /** The first due time after `time`; both in epoch milliseconds. */
  after(time: number): number {
    const offset = this.#offset(time);
    const hourly = this.#hours.length === 24;
    for (let wall = this.#nextWall(time + offset); ; wall = this.#nextWall(wall)) {
      const shown = this.#shown(wall);
      const due = (hourly ? shown : shown.slice(0, 1)).find(t => t > time);
      if (due === undefined) continue;
      if (!hourly || this.#offset(due) >= offset) return due;
      // The clocks go back before it: they show some of the hour again.
      const back = this.#change(time, due);
      const again = back + this.#offset(back);
      return this.#nextWall(again - second) - again + back;
    }
  }

  /** Milliseconds by which the clocks are ahead of UTC. */
  #offset(time: number): number {
    const at = Math.floor(time / second) * second;
    const parts = this.#zone.formatToParts(at);
    const get = (type: string) => Number(parts.find(p => p.type === type)!.value);
    return (
      Date.UTC(get('year'), get('month') - 1, get('day'), get('hour'), get('minute'), get('second')) - at
    );
  }

  /** When the clocks show `wall`, or, if they leave it out, when they go on behind it. */
  #shown(wall: number): readonly number[] {
    const [before, after] = [wall - this.#offset(wall - day), wall - this.#offset(wall + day)];
    const shown = [...new Set([before, after])].filter(time => time + this.#offset(time) === wall);
    return shown.length > 0 ? shown : [this.#change(after, before)];
  }

  /** The first second in (`from`, `to`] that has another offset than `from`. */
  #change(from: number, to: number): number {
    const old = this.#offset(from);
    let [low, high] = [Math.floor(from / second), Math.floor(to / second)];
    while (high - low > 1) {
      const middle = Math.floor((low + high) / 2);
      if (this.#offset(middle * second) === old) low = middle;
      else high = middle;
    }
    return high * second;
  }

  /** The first match on the wall behind `wall`. */
  #nextWall(wall: number): number {
    for (let start = Math.floor(wall / day) * day; ; start += day) {
      if (!this.#times.match(new Date(start + (this.#some % day)))) continue;
      for (const hour of this.#hours) {
        if (start + hour + 3600 * second <= wall) continue;
        for (const minute of this.#minutes) {
          if (start + hour + minute + 60 * second <= wall) continue;
          const found = this.#seconds.map(s => start + hour + minute + s).find(time => time > wall);
          if (found !== undefined) return found;
        }
      }
    }
  }
}

import { expect, it } from 'vitest';
import { DueTimes } from '#jobs/due-times.js';

const day = 86_400_000;

/** Due times from `from` on for `days` days, as the clocks of the zone show them and in UTC. */
function dues(expression: string, zone: string, from: string, days: number) {
  const times = new DueTimes(expression, zone);
  const end = Date.parse(from) + days * day;
  const found: number[] = [];
  for (let t = times.after(Date.parse(from)); t < end; t = times.after(t)) found.push(t);
  const wall = (t: number) => new Date(t).toLocaleString('sv', { timeZone: zone });
  return { found, walls: found.map(wall), utc: found.map(t => new Date(t).toISOString().slice(11, 16)) };
}

/** Zones with the days on which their clocks go forward and back in 2026, and hours that are left out and doubled. */
const zones = [
  {
    zone: 'Europe/Berlin',
    forward: '2026-03-29',
    out: '30 2',
    on: '03:00',
    back: '2026-10-25',
    twice: '30 2',
  },
  {
    zone: 'America/New_York',
    forward: '2026-03-08',
    out: '30 2',
    on: '03:00',
    back: '2026-11-01',
    twice: '30 1',
  },
  {
    zone: 'Australia/Lord_Howe',
    forward: '2026-10-04',
    out: '15 2',
    on: '02:30',
    back: '2026-04-05',
    twice: '45 1',
  },
  {
    zone: 'America/Santiago',
    forward: '2026-09-06',
    out: '0 0',
    on: '01:00',
    back: '2026-04-05',
    twice: '30 23',
  },
] as const;

it.each(zones)('is due once a day in 90 days around both changes of $zone', ({ zone, ...z }) => {
  const clock = (time: string) =>
    time
      .split(' ')
      .reverse()
      .map(x => x.padStart(2, '0'))
      .join(':');
  const around = (date: string) => new Date(Date.parse(`${date}T12:00:00Z`) - 45 * day).toISOString();
  for (const [date, expression] of [
    [z.forward, z.out],
    [z.back, z.twice],
  ] as const) {
    const { found, walls } = dues(`${expression} * * *`, zone, around(date), 90);
    const days = walls.map(w => w.slice(0, 10));
    expect(new Set(days).size).toBe(days.length);
    expect(found).toHaveLength(90);
    const odd = walls.filter(w => w.slice(11, 16) !== clock(expression));
    expect(odd).toEqual(date === z.forward ? [`${date} ${z.on}:00`] : []);
  }
});

it('is due the first time where the clocks show a time twice, wherever it is asked from', () => {
  const times = new DueTimes('30 2 * * *', 'Europe/Berlin');
  const at = (text: string) => new Date(times.after(Date.parse(`2026-10-25T${text}Z`))).toISOString();
  expect(at('00:00:00')).toBe('2026-10-25T00:30:00.000Z');
  for (const text of ['00:30:00', '00:59:59', '01:00:00', '01:29:59', '01:30:00', '02:00:00'])
    expect(at(text)).toBe('2026-10-26T01:30:00.000Z');
});

it('goes on in both hours of a doubled one, and in none that is left out', () => {
  const utc = (zone: string, from: string) => dues('*/20 * * * *', zone, from, 0.15).utc;
  const steady = (from: string) =>
    Array.from({ length: 10 }, (_, k) =>
      new Date(Date.parse(from) + (k + 1) * 1_200_000).toISOString().slice(11, 16),
    );
  for (const [zone, from] of [
    ['Europe/Berlin', '2026-10-24T23:20:00Z'],
    ['Europe/Berlin', '2026-03-28T23:40:00Z'],
    ['America/New_York', '2026-11-01T04:20:00Z'],
    ['America/New_York', '2026-03-08T05:40:00Z'],
  ] as const)
    expect(utc(zone, from)).toEqual(steady(from));
  // Half an hour: 01:40 of the first time is 14:40, of the second 15:10.
  const back = utc('Australia/Lord_Howe', '2026-04-04T14:00:00Z');
  expect(back.slice(0, 6)).toEqual(['14:20', '14:40', '15:10', '15:30', '15:50', '16:10']);
  const hours = dues('0 */2 * * *', 'Europe/Berlin', '2026-10-24T21:00:00Z', 0.35).walls;
  expect(hours.map(w => w.slice(11, 16))).toEqual(['00:00', '02:00', '04:00', '06:00']);
});

it('is due where node-cron says it is in a zone that changes nothing', () => {
  for (const [expression, found] of [
    ['0 0 29 2 *', '2028-02-29T00:00:00.000Z'],
    ['*/10 * * * * *', '2026-03-01T12:00:10.000Z'],
    ['5 4 * * 1', '2026-03-02T04:05:00.000Z'],
    ['59 59 23 L * *', '2026-03-31T23:59:59.000Z'],
  ] as const)
    expect(
      new Date(new DueTimes(expression, 'UTC').after(Date.parse('2026-03-01T12:00:01.5Z'))).toISOString(),
    ).toBe(found);
});

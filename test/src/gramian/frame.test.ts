import { expect, it } from 'vitest';
import { type Ageing, type Frame, halfLivesOf, nextFrame, sameFrame } from '#src/gramian/frame.js';

const day = 86_400_000;
const now = 20_000 * day + 5;
const binary: Ageing = { units: 1, most: 1 };
const weighted: Ageing = { units: 100, most: 2 ** 20 };
const after = (ageing: Ageing, frame: Frame, days: number, rise = 0) =>
  nextFrame(ageing, frame, now + days * day, rise);

it('leaves everything as it is without ages, and before there are events', () => {
  expect(nextFrame(binary, {}, now)).toEqual({});
  expect(nextFrame({ ...binary, windowMs: day }, {}, undefined)).toEqual({});
});

it('moves the edge behind the newest event in hundredths of the window, and never back', () => {
  const ageing = { ...binary, windowMs: 100 * day };
  const frame = nextFrame(ageing, {}, now);
  expect(frame).toEqual({ windowMs: 100 * day, newest: now, edge: 19_900 * day });
  expect(sameFrame(frame, after(ageing, frame, 0.9))).toBe(true);
  expect(after(ageing, frame, 1).edge).toBe(19_901 * day);
  expect(after(ageing, frame, -50)).toEqual(frame);
});

it('keeps the landmark for eight half-lives, and then leaves as many between as at first', () => {
  const ageing = { ...binary, halfLifeMs: 10 * day };
  let frame = nextFrame(ageing, {}, now);
  const first = frame.landmark;
  expect([halfLivesOf(frame), first! % (10 * day)]).toEqual([8, 0]);
  frame = after(ageing, frame, 80);
  expect([halfLivesOf(frame), frame.landmark]).toEqual([16, first]);
  frame = after(ageing, frame, 90);
  expect([halfLivesOf(frame), frame.landmark]).toEqual([8, first! + 90 * day]);
});

it('brings the landmark nearer on request, but leaves six half-lives to an event of weight 1', () => {
  for (const [ageing, least] of [
    [binary, 6],
    [weighted, 0],
  ] as const) {
    const decaying = { ...ageing, halfLifeMs: day };
    const frame = nextFrame(decaying, {}, now);
    expect(halfLivesOf(after(decaying, frame, 0, 1))).toBe(least + 1);
    expect(halfLivesOf(after(decaying, frame, 0, 9))).toBe(least);
  }
});

it('lets no value pass 2^30', () => {
  for (const units of [1, 2, 100, 65_536]) {
    const ageing = { units, most: 2 ** 20, halfLifeMs: day };
    let frame: Frame = {};
    for (let days = 0; days < 40; days++) {
      frame = after(ageing, frame, days);
      expect(ageing.most * 2 ** halfLivesOf(frame)).toBeLessThanOrEqual(2 ** 30);
    }
  }
});

const units: Readonly<Record<string, number>> = { m: 60_000, h: 3_600_000, d: 86_400_000, w: 604_800_000 };

/** The pattern of a duration, such as 90m, 12h, 30d or 2w. */
export const durationPattern = /^(\d+(?:\.\d+)?)\s*([mhdw])$/;

/** Milliseconds of a duration that has the pattern. */
export function milliseconds(text: string): number {
  const [, digits, unit] = durationPattern.exec(text)!;
  return Number(digits) * units[unit!]!;
}

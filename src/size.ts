import { StageError } from './errors.js';

const units: Readonly<Record<string, number>> = {
  '': 1,
  K: 1e3,
  M: 1e6,
  G: 1e9,
  KI: 2 ** 10,
  MI: 2 ** 20,
  GI: 2 ** 30,
};

/** The pattern of a size, such as 256MiB or 1.5GB. */
export const sizePattern = /^(\d+(?:\.\d+)?)\s*([KMG]I?)?B?$/i;

/** Bytes of a size such as `256MiB`, `1.5GB` or `4096`. `CONFIG_INVALID` for anything else. */
export function parseSize(text: string, where: string): number {
  const [, digits, unit = ''] = sizePattern.exec(text.trim()) ?? [];
  if (digits === undefined) {
    throw new StageError(
      'CONFIG_INVALID',
      `${where}: expected a size such as 256MiB, found ${JSON.stringify(text)}`,
    );
  }
  return Math.floor(Number(digits) * units[unit.toUpperCase()]!);
}

/** A number of bytes in MiB, rounded to a tenth. */
export const mebibytes = (bytes: number): string => `${(bytes / 2 ** 20).toFixed(1)} MiB`;

import { ExomemError } from '@exomem/core';

const exponents: Record<string, number> = { '': 0, k: 1, m: 2, g: 3, t: 4, p: 5 };

/**
 * Reads a size: `4096`, `512M`, `64GiB`, `1.5G`. K, M, G, T, P are powers of 1024, with or without `B` or `iB`.
 * @throws `OutOfRange` if it is no positive whole number of bytes up to 2^53 - 1.
 */
export function parseSize(text: string, what = 'size'): number {
  const match = /^([+-]?)(\d+)(?:\.(\d+))?\s?([kmgtp]?)(?:i?b)?$/i.exec(text.trim());
  if (match === null) throw wrong(what, text, 'it is no number with a unit');
  const [, sign, whole, fraction = '', unit] = match;
  // In whole numbers: 1.1G is no number of bytes, and must not become one by rounding.
  const scale = 10n ** BigInt(fraction.length);
  const scaled = BigInt(whole! + fraction) * 1024n ** BigInt(exponents[unit!.toLowerCase()]!);
  if (scaled === 0n) throw wrong(what, text, 'it is nothing');
  if (sign === '-') throw wrong(what, text, 'it is negative');
  if (scaled % scale !== 0n) throw wrong(what, text, 'it is no whole number of bytes');
  const bytes = scaled / scale;
  if (bytes > BigInt(Number.MAX_SAFE_INTEGER)) throw wrong(what, text, 'it is over 2^53 bytes');
  return Number(bytes);
}

const milliseconds: Record<string, number> = { ms: 1, s: 1000, m: 60_000, min: 60_000, h: 3_600_000 };

/** Reads a duration: `500ms`, `10s`, `2m`, `1h`. Milliseconds. @throws `OutOfRange` */
export function parseDuration(text: string, what = 'duration'): number {
  const match = /^(\d+(?:\.\d+)?)\s?(ms|s|min|m|h)$/.exec(text.trim());
  const duration = match === null ? Number.NaN : Number(match[1]) * milliseconds[match[2]!]!;
  if (Number.isInteger(duration) && duration > 0 && duration < 2 ** 31) return duration;
  throw new ExomemError('OutOfRange', `"${text}" is no ${what}`, { advice: 'write it like 10s, 500ms or 2m' });
}

function wrong(what: string, text: string, why: string): ExomemError {
  return new ExomemError('OutOfRange', `"${text}" is no ${what}: ${why}`, {
    advice: 'write it like 512M, 64GiB or 1.5G',
  });
}

const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'] as const;

/** For people: `1.5 GiB`. */
export function formatSize(bytes: number): string {
  let value = bytes;
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit++;
  }
  const text = unit === 0 || Number.isInteger(value) ? String(value) : value.toFixed(value < 10 ? 2 : 1);
  return `${text} ${units[unit]}`;
}

/** The shortest way to type a number of bytes: `64G`, or the bytes themselves. */
export function typeSize(bytes: number): string {
  for (const [unit, exponent] of Object.entries(exponents).reverse()) {
    if (bytes % 1024 ** exponent === 0 && bytes > 0) return `${bytes / 1024 ** exponent}${unit.toUpperCase()}`;
  }
  return String(bytes);
}

/** For people: `10 s`, `500 ms`, `4.6 h`. */
export function formatDuration(duration: number): string {
  if (duration < 1000) return `${Math.round(duration)} ms`;
  if (duration < 120_000) return `${Number((duration / 1000).toFixed(1))} s`;
  if (duration < 7_200_000) return `${Number((duration / 60_000).toFixed(1))} min`;
  if (duration < 172_800_000) return `${Number((duration / 3_600_000).toFixed(1))} h`;
  return `${Number((duration / 86_400_000).toFixed(1))} d`;
}

/** Bytes that say whose they are and where they belong. None of them is 0. */
export function pattern(seed: number, length: number, from = 0): Uint8Array {
  const bytes = new Uint8Array(length);
  for (let at = 0; at < length; at++) bytes[at] = byteOf(seed, from + at);
  return bytes;
}

function byteOf(seed: number, at: number): number {
  return 1 + (((Math.imul(seed + 1, 0x9e3779b1) ^ Math.imul((at >>> 3) + 1, 0x85ebca6b) ^ (at * 29)) >>> 7) % 255);
}

/** Where `bytes` first differ from the pattern; -1 if nowhere. */
export function differs(bytes: Uint8Array, seed: number, from = 0): number {
  for (let at = 0; at < bytes.length; at++) if (bytes[at] !== byteOf(seed, from + at)) return at;
  return -1;
}

/** Numbers from 0 up to, not including, 1, which follow from a seed. */
export function chances(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state ^ (state >>> 15), 0x2c1b3c6d) + 0x9e3779b9) >>> 0;
    return state / 2 ** 32;
  };
}

/** CRC-32C (Castagnoli, RFC 3720 appendix B.4), four bytes at a time. */
const table = new Uint32Array(4 * 256);
for (let byte = 0; byte < 256; byte++) {
  let crc = byte;
  for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0x82f63b78 : crc >>> 1;
  table[byte] = crc;
}
for (let byte = 0; byte < 256; byte++) {
  for (let slice = 1; slice < 4; slice++) {
    const before = table[(slice - 1) * 256 + byte]!;
    table[slice * 256 + byte] = (before >>> 8) ^ table[before & 255]!;
  }
}

/** The CRC-32C of `bytes`, going on from `previous` (the CRC of what came before). An unsigned 32-bit number. */
export function crc32c(bytes: Uint8Array, previous = 0): number {
  let crc = ~previous;
  const whole = bytes.length & ~3;
  let at = 0;
  for (; at < whole; at += 4) {
    crc ^= bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24);
    crc =
      table[768 + (crc & 255)]! ^
      table[512 + ((crc >>> 8) & 255)]! ^
      table[256 + ((crc >>> 16) & 255)]! ^
      table[crc >>> 24]!;
  }
  for (; at < bytes.length; at++) crc = (crc >>> 8) ^ table[(crc ^ bytes[at]!) & 255]!;
  return ~crc >>> 0;
}

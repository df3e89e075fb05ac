/**
 * @file A fast 32-bit hash of bytes, to find equal contents; equality itself is checked byte by byte.
 * Source: FNV-1a (Fowler, Noll, Vo) over 32-bit words, with a final mix of MurmurHash3.
 */

export function hashBytes(bytes: Uint8Array): number {
  let hash = 0x811c9dc5 ^ bytes.byteLength;
  const aligned = bytes.byteOffset % 4 === 0;
  const wordCount = aligned ? bytes.byteLength >> 2 : 0;
  const words = new Uint32Array(bytes.buffer, aligned ? bytes.byteOffset : 0, wordCount);
  for (let i = 0; i < wordCount; i++) hash = Math.imul(hash ^ words[i]!, 0x01000193);
  for (let i = wordCount * 4; i < bytes.byteLength; i++) hash = Math.imul(hash ^ bytes[i]!, 0x01000193);
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}

export function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  if (a.byteLength !== b.byteLength) return false;
  for (let i = 0; i < a.byteLength; i++) if (a[i] !== b[i]) return false;
  return true;
}

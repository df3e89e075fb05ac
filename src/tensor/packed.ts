/**
 * @file Four-bit elements, two to a byte. Source: onnx.proto, TensorProto.raw_data: the first element is in the low bits.
 */

/** Codes of four bits, one to a byte (the upper half of a byte is ignored), as ONNX stores them; a last odd one alone. */
export function packNibbles(codes: Uint8Array): Uint8Array {
  const packed = new Uint8Array((codes.length + 1) >> 1);
  const pairs = codes.length >> 1;
  for (let i = 0; i < pairs; i++) packed[i] = (codes[2 * i]! & 15) | ((codes[2 * i + 1]! & 15) << 4);
  if (codes.length % 2 === 1) packed[pairs] = codes[codes.length - 1]! & 15;
  return packed;
}

/** The `count` codes of packed bytes, one to a byte: 0 … 15, or −8 … 7 (as bytes of int8) for signed ones. */
export function unpackNibbles(packed: Uint8Array, count: number, signed: boolean): Uint8Array {
  const codes = new Uint8Array(count);
  for (let i = 0; i < count; i++) {
    const code = (packed[i >> 1]! >> (i % 2 === 0 ? 0 : 4)) & 15;
    codes[i] = signed && code > 7 ? code - 16 : code;
  }
  return codes;
}

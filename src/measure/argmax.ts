/**
 * @file Places of largest elements.
 */

/** Place of the largest of `width` elements from `start` on, the first of equals; a NaN counts as the largest, as in NumPy. */
export function argmax(values: ArrayLike<number>, start: number, width: number): number {
  let best = 0;
  let largest = values[start]!;
  for (let i = 0; i < width; i++) {
    const value = values[start + i]!;
    if (value > largest) {
      largest = value;
      best = i;
    } else if (Number.isNaN(value)) return i;
  }
  return best;
}

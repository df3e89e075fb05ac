/**
 * @file Which k of a list PyTorch's topk takes on a processor, ties included: the same moves on the same positions.
 *
 * Source: ATen/native/TopKImpl.h (partial_sort where 64 k ≤ n, else nth_element); libstdc++, bits/stl_algo.h and
 * bits/stl_heap.h, whose introselect and heap select decide which of equal values come first.
 */

/** Values with their positions, moved together. */
class Queue {
  readonly values: Float32Array;
  readonly indices: Uint32Array;
  readonly #sign: 1 | -1;

  constructor(values: Float32Array, largest: boolean) {
    this.values = values.slice();
    this.indices = Uint32Array.from(values, (_value, i) => i);
    this.#sign = largest ? -1 : 1;
  }

  /** Whether value a goes before value b; NaN is the largest. */
  before(a: number, b: number): boolean {
    if (this.#sign > 0) return (Number.isNaN(b) && !Number.isNaN(a)) || a < b;
    return (Number.isNaN(a) && !Number.isNaN(b)) || a > b;
  }

  move(to: number, from: number): void {
    this.values[to] = this.values[from]!;
    this.indices[to] = this.indices[from]!;
  }

  put(to: number, value: number, index: number): void {
    this.values[to] = value;
    this.indices[to] = index;
  }

  swap(a: number, b: number): void {
    const [value, index] = [this.values[a]!, this.indices[a]!];
    this.move(a, b);
    this.put(b, value, index);
  }
}

/** Positions of the k largest or smallest values, in no particular order. */
export function topk(values: Float32Array, k: number, largest: boolean): Uint32Array {
  if (k === 0) return new Uint32Array(0);
  const queue = new Queue(values, largest);
  const n = values.length;
  if (k * 64 <= n) heapSelect(queue, 0, k, n);
  else introselect(queue, k - 1, n);
  return queue.indices.subarray(0, k);
}

/** std::__heap_select */
function heapSelect(queue: Queue, first: number, middle: number, last: number): void {
  const { values, indices } = queue;
  const length = middle - first;
  for (let parent = (length - 2) >> 1; parent >= 0; parent--) {
    adjustHeap(queue, first, parent, length, values[first + parent]!, indices[first + parent]!);
  }
  for (let i = middle; i < last; i++) {
    if (!queue.before(values[i]!, values[first]!)) continue;
    const [value, index] = [values[i]!, indices[i]!];
    queue.move(i, first);
    adjustHeap(queue, first, 0, length, value, index);
  }
}

/** std::__adjust_heap, std::__push_heap */
function adjustHeap(queue: Queue, first: number, hole: number, length: number, value: number, index: number): void {
  const { values } = queue;
  const top = hole;
  let child = hole;
  while (child < (length - 1) >> 1) {
    child = 2 * (child + 1);
    if (queue.before(values[first + child]!, values[first + child - 1]!)) child--;
    queue.move(first + hole, first + child);
    hole = child;
  }
  if (length % 2 === 0 && child === (length - 2) >> 1) {
    child = 2 * (child + 1);
    queue.move(first + hole, first + child - 1);
    hole = child - 1;
  }
  let parent = (hole - 1) >> 1;
  while (hole > top && queue.before(values[first + parent]!, value)) {
    queue.move(first + hole, first + parent);
    hole = parent;
    parent = (hole - 1) >> 1;
  }
  queue.put(first + hole, value, index);
}

/** std::__introselect over all of the queue */
function introselect(queue: Queue, nth: number, n: number): void {
  let [first, last] = [0, n];
  let depth = 2 * Math.floor(Math.log2(n));
  while (last - first > 3) {
    if (depth-- === 0) {
      heapSelect(queue, first, nth + 1, last);
      queue.swap(first, nth);
      return;
    }
    const cut = partitionPivot(queue, first, last);
    if (cut <= nth) first = cut;
    else last = cut;
  }
  insertionSort(queue, first, last);
}

/** std::__unguarded_partition_pivot, std::__move_median_to_first, std::__unguarded_partition */
function partitionPivot(queue: Queue, first: number, last: number): number {
  const { values } = queue;
  const [a, b, c] = [first + 1, first + ((last - first) >> 1), last - 1];
  const before = (i: number, j: number): boolean => queue.before(values[i]!, values[j]!);
  if (before(a, b)) queue.swap(first, before(b, c) ? b : before(a, c) ? c : a);
  else queue.swap(first, before(a, c) ? a : before(b, c) ? c : b);
  const pivot = values[first]!;
  let [low, high] = [first + 1, last];
  for (;;) {
    while (queue.before(values[low]!, pivot)) low++;
    high--;
    while (queue.before(pivot, values[high]!)) high--;
    if (low >= high) return low;
    queue.swap(low, high);
    low++;
  }
}

/** std::__insertion_sort */
function insertionSort(queue: Queue, first: number, last: number): void {
  const { values, indices } = queue;
  for (let i = first + 1; i < last; i++) {
    const [value, index] = [values[i]!, indices[i]!];
    let hole = i;
    while (hole > first && queue.before(value, values[hole - 1]!)) {
      queue.move(hole, hole - 1);
      hole--;
    }
    queue.put(hole, value, index);
  }
}

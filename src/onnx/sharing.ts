/**
 * @file Equal small messages become one object while a model is read: graphs repeat a few attributes and types
 * thousands of times, and most of the reader's time is garbage collection. Shared messages are frozen.
 */
import type { Schema } from "./schema.ts";
import { hashBytes, type Reader, sameBytes } from "./wire.ts";

/** Longer messages hardly repeat. */
const MAX_SHARED_BYTES = 128;

/** A direct-mapped table: a newer message takes the place of an older one. */
const SLOTS = 1024;

export class Sharing {
  readonly #reader: Reader;
  readonly #starts = new Int32Array(SLOTS).fill(-1);
  readonly #lengths = new Int32Array(SLOTS);
  readonly #schemas: (Schema<object> | undefined)[] = new Array(SLOTS).fill(undefined);
  readonly #messages: (object | undefined)[] = new Array(SLOTS).fill(undefined);

  constructor(reader: Reader) {
    this.#reader = reader;
  }

  /** The message from the reader's position up to `end`: one that was read before, or what `read` makes of it. */
  get<T extends object>(schema: Schema<object>, end: number, read: () => T): T {
    const { view, position } = this.#reader;
    const length = end - position;
    if (length > MAX_SHARED_BYTES) return read();
    const slot = hashBytes(view, position, end) & (SLOTS - 1);
    const start = this.#starts[slot]!;
    if (
      start >= 0 &&
      this.#lengths[slot] === length &&
      this.#schemas[slot] === schema &&
      sameBytes(view, start, position, length)
    ) {
      const known = this.#messages[slot] as T;
      freeze(known);
      this.#reader.position = end;
      return known;
    }
    const message = read();
    if (schema.shared?.(message) === true) {
      this.#starts[slot] = position;
      this.#lengths[slot] = length;
      this.#schemas[slot] = schema;
      this.#messages[slot] = message;
    }
    return message;
  }
}

function freeze(value: unknown): void {
  if (typeof value !== "object" || value === null || ArrayBuffer.isView(value) || Object.isFrozen(value)) return;
  Object.freeze(value);
  for (const inner of Object.values(value)) freeze(inner);
}

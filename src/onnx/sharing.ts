/**
 * @file Equal small messages become one object while a model is read: graphs repeat a few attributes and types
 * thousands of times, and most of the reader's time is garbage collection. Shared messages are frozen.
 */
import type { Schema } from "./schema.ts";
import { hashBytes, Reader, sameBytes } from "./wire.ts";

/** Longer messages hardly repeat. */
const MAX_SHARED_BYTES = 128;

/** A direct-mapped table: a newer message takes the place of an older one. */
const SLOTS = 1024;

export class Sharing {
  readonly #reader: Reader;
  readonly #starts = new Int32Array(SLOTS);
  readonly #lengths = new Int32Array(SLOTS);
  readonly #schemas: (Schema<object> | undefined)[] = new Array(SLOTS).fill(undefined);
  readonly #messages: (object | undefined)[] = new Array(SLOTS).fill(undefined);
  /** 1 where the message was found again, and is frozen since. */
  readonly #frozen = new Uint8Array(SLOTS);
  /** Why: see {@link Reader.kept}. */
  static readonly kept: Sharing = new Sharing(Reader.kept);

  constructor(reader: Reader) {
    this.#reader = reader;
  }

  /** Where a message from the reader's position up to `end` has its place, or -1 where it is too long for one. */
  slot(end: number): number {
    const { view, position } = this.#reader;
    return end - position > MAX_SHARED_BYTES ? -1 : hashBytes(view, position, end) & (SLOTS - 1);
  }

  /** The message of the same bytes that was read before. */
  find(slot: number, schema: Schema<object>, end: number): object | undefined {
    if (slot < 0 || this.#schemas[slot] !== schema) return undefined;
    const { view, position } = this.#reader;
    const length = end - position;
    if (this.#lengths[slot] !== length || !sameBytes(view, this.#starts[slot]!, position, length)) return undefined;
    const known = this.#messages[slot];
    if (this.#frozen[slot] === 0) {
      freeze(known);
      this.#frozen[slot] = 1;
    }
    return known;
  }

  /** Keeps a message that was read from these bytes, where it may be shared. */
  keep(slot: number, schema: Schema<object>, start: number, end: number, message: object): void {
    if (slot < 0 || schema.shared?.(message) !== true) return;
    this.#starts[slot] = start;
    this.#lengths[slot] = end - start;
    this.#schemas[slot] = schema;
    this.#messages[slot] = message;
    this.#frozen[slot] = 0;
  }
}

function freeze(value: unknown): void {
  if (typeof value !== "object" || value === null || ArrayBuffer.isView(value) || Object.isFrozen(value)) return;
  Object.freeze(value);
  for (const inner of Object.values(value)) freeze(inner);
}

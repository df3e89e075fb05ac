/**
 * @file Limits of the reader, each with what it stops.
 */

/** protobuf's own limit: runtimes refuse larger messages, and 32-bit lengths overflow. Larger models use external data. */
export const MAX_MODEL_BYTES = 2 ** 31 - 1;

/** Nested messages (a subgraph costs three levels): stops stack overflow by a file of nothing but nesting. */
export const MAX_DEPTH = 300;

/** Messages in one file (20,000 nodes with declared shapes have 260,000): stops a file of two-byte empty messages from becoming gigabytes. */
export const MAX_MESSAGES = 5_000_000;

/** Elements of one tensor: above it, sizes leave the integers that a double holds exactly. */
export const MAX_ELEMENTS = 2 ** 48;

/** Bytes of a sparse tensor when it is dense: a few bytes of dimensions could ask for terabytes. No dense file has more. */
export const MAX_SPARSE_DENSE_BYTES = 2 ** 31 - 1;

/** Newest IR version whose schema is known here. A newer file is refused: unknown semantics cannot be verified. */
export const MAX_IR_VERSION = 14;

/** External data entries of one tensor: real ones have four. */
export const MAX_EXTERNAL_ENTRIES = 64;

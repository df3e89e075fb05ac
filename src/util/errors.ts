/**
 * @file The error classes of the whole package. Every text reads "area: subject: expected, got. What to do."
 */

interface ErrorParts {
  /** Which part of Tersor speaks: "onnx", "graph", "data", … */
  readonly area: string;
  /** The file, node, value or option that is concerned. */
  readonly subject: string;
  /** What is wrong, as "expected X, got Y" wherever that reads naturally. */
  readonly problem: string;
  /** What the reader can do about it: a full sentence. */
  readonly help?: string;
  readonly cause?: unknown;
}

/** Base of all errors that Tersor throws on purpose. `code` is stable; the text is for people. */
export class TersorError extends Error {
  readonly code: string;
  readonly area: string;
  readonly subject: string;
  readonly help: string | undefined;

  constructor(code: string, parts: ErrorParts) {
    const problem = parts.problem.replace(/[.\s]+$/, "");
    super(`${parts.area}: ${parts.subject}: ${problem}.${parts.help ? ` ${parts.help}` : ""}`, { cause: parts.cause });
    this.name = new.target.name;
    this.code = code;
    this.area = parts.area;
    this.subject = parts.subject;
    this.help = parts.help;
  }
}

/** Bytes that are not what the format says: carries the byte offset and the field where known. */
export class FormatError extends TersorError {
  readonly offset: number | undefined;
  readonly field: string | undefined;

  constructor(parts: ErrorParts & { readonly offset?: number; readonly field?: string }) {
    const where = [
      parts.field === undefined ? undefined : `field ${parts.field}`,
      parts.offset === undefined ? undefined : `byte ${parts.offset}`,
    ].filter((part) => part !== undefined);
    const problem = parts.problem.replace(/[.\s]+$/, "");
    super("FORMAT", { ...parts, problem: where.length > 0 ? `${problem} (at ${where.join(", ")})` : problem });
    this.offset = parts.offset;
    this.field = parts.field;
  }
}

/** A graph that breaks an invariant of ONNX or of the intermediate representation. */
export class GraphError extends TersorError {
  constructor(parts: ErrorParts) {
    super("GRAPH", parts);
  }
}

/** Something valid that Tersor, or a runtime, does not do: names op, domain, opset and node where there are any. */
export class UnsupportedError extends TersorError {
  constructor(parts: ErrorParts) {
    super("UNSUPPORTED", parts);
  }
}

/** A wrong option, flag or argument: names step or command, key, what was given and what is allowed. */
export class OptionError extends TersorError {
  constructor(parts: ErrorParts) {
    super("OPTION", parts);
  }
}

/** A file, folder or data set that cannot be read or written. */
export class InputError extends TersorError {
  constructor(parts: ErrorParts) {
    super("INPUT", parts);
  }
}

/** A written model that is not what it should be on a target. */
export class VerificationError extends TersorError {
  constructor(parts: ErrorParts) {
    super("VERIFICATION", parts);
  }
}

/** The text of anything that was thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

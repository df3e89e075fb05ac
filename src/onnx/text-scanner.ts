/**
 * @file Characters to words, numbers and strings of the ONNX textual syntax; errors carry line and column.
 * Source: onnx/docs/Syntax.md and onnx/defs/parser.cc (ONNX 1.23).
 */
import { FormatError } from "../util/errors.ts";

/** A number or string as written. `text` is kept because integers need all 64 bits. */
export interface Literal {
  readonly kind: "int" | "float" | "string";
  readonly text: string;
  readonly at: number;
}

const IDENTIFIER = /[A-Za-z_][A-Za-z0-9_]*/y;
const NUMBER = /-?(?:\d+(?:\.\d*)?(?:[eE][+-]?\d+)?|(?:inf|infinity|nan)(?![A-Za-z0-9_]))/iy;

export class Scanner {
  readonly text: string;
  position = 0;

  constructor(text: string) {
    this.text = text;
  }

  /** "expected X, got Y (line, column)". */
  fail(expected: string, at = this.skipBlank()): FormatError {
    const got = /\S+/y;
    got.lastIndex = at;
    const word = got.exec(this.text)?.[0].slice(0, 24);
    return this.problem(`expected ${expected}, got ${word === undefined ? "the end of the text" : `"${word}"`}`, at);
  }

  problem(problem: string, at = this.position): FormatError {
    const before = this.text.slice(0, at);
    const line = before.split("\n").length;
    const column = at - before.lastIndexOf("\n");
    return new FormatError({ area: "onnx text", subject: `line ${line}, column ${column}`, problem });
  }

  #match(pattern: RegExp): string | undefined {
    pattern.lastIndex = this.position;
    const found = pattern.exec(this.text)?.[0];
    if (found !== undefined) this.position += found.length;
    return found;
  }

  /** Moves past white space and comments. */
  skipBlank(): number {
    const { text } = this;
    for (; this.position < text.length; this.position++) {
      const code = text.charCodeAt(this.position);
      if (code === 0x23) {
        const line = text.indexOf("\n", this.position);
        this.position = line < 0 ? text.length - 1 : line;
      } else if (code > 0x20) break;
    }
    return this.position;
  }

  get atEnd(): boolean {
    return this.skipBlank() >= this.text.length;
  }

  /** The next character that is not blank; "" at the end. */
  peek(): string {
    return this.text.charAt(this.skipBlank());
  }

  takes(symbol: string): boolean {
    if (!this.text.startsWith(symbol, this.skipBlank())) return false;
    this.position += symbol.length;
    return true;
  }

  expect(symbol: string): void {
    if (!this.takes(symbol)) throw this.fail(`"${symbol}"`);
  }

  optionalIdentifier(): string | undefined {
    this.skipBlank();
    return this.#match(IDENTIFIER);
  }

  identifier(what: string): string {
    const found = this.optionalIdentifier();
    if (found === undefined) throw this.fail(what);
    return found;
  }

  /** The identifier that comes next, without moving. */
  peekIdentifier(): string | undefined {
    const start = this.position;
    const found = this.optionalIdentifier();
    this.position = start;
    return found;
  }

  /** An identifier, or any name in quotes; undefined where neither comes next. */
  optionalName(): string | undefined {
    return this.peek() === '"' ? this.string() : this.optionalIdentifier();
  }

  name(what: string): string {
    const found = this.optionalName();
    if (found === undefined) throw this.fail(what);
    return found;
  }

  optionalLiteral(): Literal | undefined {
    const at = this.skipBlank();
    if (this.text[at] === '"') return { kind: "string", text: this.string(), at };
    const text = this.#match(NUMBER);
    if (text === undefined) return undefined;
    return { kind: /^-?\d+$/.test(text) ? "int" : "float", text, at };
  }

  literal(what: string): Literal {
    const found = this.optionalLiteral();
    if (found === undefined) throw this.fail(what);
    return found;
  }

  /** A quoted string; a backslash takes the next character as it is. */
  string(): string {
    const start = this.skipBlank();
    if (this.text[start] !== '"') throw this.fail("a string in double quotes");
    let result = "";
    let i = start + 1;
    for (; i < this.text.length && this.text[i] !== '"'; i++) {
      if (this.text[i] === "\\") i++;
      result += this.text.charAt(i);
    }
    if (i >= this.text.length) throw this.problem("expected a closing quote, got the end of the text", start);
    this.position = i + 1;
    return result;
  }

  integer(what: string): number {
    const at = this.skipBlank();
    const literal = this.literal(what);
    const value = Number(literal.text);
    if (literal.kind !== "int" || !Number.isSafeInteger(value)) throw this.fail(what, at);
    return value;
  }
}

/** The number that a literal spells, `inf` and `nan` too. */
export function literalNumber({ text }: Literal): number {
  if (/inf/i.test(text)) return text.startsWith("-") ? Number.NEGATIVE_INFINITY : Number.POSITIVE_INFINITY;
  return /nan/i.test(text) ? Number.NaN : Number(text);
}

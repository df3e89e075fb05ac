/**
 * @file The lines of a text file, by number: only their places are kept, so that files larger than memory can be read in
 * any order.
 */
import { closeSync, openSync, readSync } from "node:fs";
import { InputError, messageOf } from "../util/errors.ts";

export interface Lines {
  /** Lines with something in them. */
  readonly length: number;
  /** @param index from 0. */
  read(index: number): { readonly text: string; readonly line: number };
}

const CHUNK_BYTES = 1 << 20;
const NEWLINE = 10;
const SPACE = 32;

/** @throws InputError where the file cannot be read. */
export function indexLines(path: string): Lines {
  const starts: number[] = [];
  const lengths: number[] = [];
  const numbers: number[] = [];
  withFile(path, (file) => {
    const chunk = new Uint8Array(CHUNK_BYTES);
    let position = 0;
    let start = 0;
    let line = 1;
    let blank = true;
    const end = (at: number): void => {
      if (!blank) {
        starts.push(start);
        lengths.push(at - start);
        numbers.push(line);
      }
      start = at + 1;
      line++;
      blank = true;
    };
    for (let count = readSync(file, chunk); count > 0; count = readSync(file, chunk)) {
      for (let i = 0; i < count; i++) {
        if (chunk[i] === NEWLINE) end(position + i);
        else if (chunk[i]! > SPACE) blank = false;
      }
      position += count;
    }
    end(position);
  });
  return {
    length: starts.length,
    read(index) {
      const bytes = new Uint8Array(lengths[index]!);
      withFile(path, (file) => readSync(file, bytes, 0, bytes.length, starts[index]!));
      // A byte order mark is dropped by the decoder.
      return { text: new TextDecoder().decode(bytes).trim(), line: numbers[index]! };
    },
  };
}

function withFile(path: string, work: (file: number) => void): void {
  let file: number | undefined;
  try {
    file = openSync(path, "r");
    work(file);
  } catch (cause) {
    throw new InputError({ area: "data", subject: path, problem: `cannot be read: ${messageOf(cause)}`, cause });
  } finally {
    if (file !== undefined) closeSync(file);
  }
}

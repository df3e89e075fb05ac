/**
 * @file The log as a file with one JSON object a line. Each is on the disk's side of this process when the call returns, so
 * that a killed run loses none. Node only.
 */
import { appendFileSync, closeSync, openSync, readFileSync, truncateSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { makeFolder } from "../onnx/file-node.ts";
import { InputError, messageOf } from "../util/errors.ts";
import type { LogRecord } from "./events.ts";

/**
 * Appends to a file, which is made where it is not there.
 * @throws InputError where it cannot be written.
 */
export function fileLog(path: string): (record: LogRecord) => void {
  try {
    makeFolder(dirname(resolve(path)));
    closeSync(openSync(path, "a"));
    endLastLine(path);
  } catch (cause) {
    throw new InputError({
      area: "train",
      subject: path,
      problem: `expected a file for the log, and it cannot be written: ${messageOf(cause)}`,
      help: "Choose another one with --log.",
      cause,
    });
  }
  return (record) =>
    appendFileSync(
      path,
      `${JSON.stringify(record, (_key, value: unknown) => (typeof value === "number" && !Number.isFinite(value) ? String(value) : value))}\n`,
    );
}

/** A run that was killed in the middle of a line leaves a part of one: it goes. */
function endLastLine(path: string): void {
  const bytes = readFileSync(path);
  if (bytes.length > 0 && bytes.at(-1) !== 0x0a) truncateSync(path, bytes.lastIndexOf(0x0a) + 1);
}

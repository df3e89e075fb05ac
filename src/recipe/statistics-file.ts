/**
 * @file Statistics of calibration in a file: made where it is not there, used where it is.
 */
import { existsSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { readFileBytes } from "../onnx/file-node.ts";
import type { StatisticsStore } from "../step/step.ts";
import { InputError, messageOf } from "../util/errors.ts";
import { hashBytes } from "../util/hash.ts";
import type { OpenModel } from "./open.ts";

/** @throws InputError, when it is read or written, where the file cannot be. */
export function statisticsFile(path: string, { path: model, byteLength }: OpenModel): StatisticsStore {
  const fail = (what: string, cause: unknown): InputError =>
    new InputError({ area: "quantize", subject: path, problem: `cannot be ${what}: ${messageOf(cause)}`, cause });
  return {
    name: path,
    // Data files count with their size: hashing gigabytes would take longer than calibrating.
    model: `${hashBytes(readFileBytes(model)).toString(16).padStart(8, "0")}-${byteLength}`,
    read() {
      if (!existsSync(path)) return undefined;
      try {
        return readFileSync(path, "utf8");
      } catch (cause) {
        throw fail("read", cause);
      }
    },
    write(text) {
      const partial = `${path}.${process.pid}.partial`;
      try {
        writeFileSync(partial, text);
        renameSync(partial, path);
      } catch (cause) {
        rmSync(partial, { force: true });
        throw fail("written", cause);
      }
    },
  };
}

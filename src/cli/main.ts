#!/usr/bin/env node
/**
 * @file The command `tersor`. Exit status: 0 done, 1 the result misses verification, 2 bad usage or input, 130 cancelled.
 */
import { Command, CommanderError } from "commander";
import { TersorError } from "../util/errors.ts";
import { VERSION } from "../version.ts";
import { addDoctor } from "./commands/doctor.ts";
import { addInspect } from "./commands/inspect.ts";
import { addQuantize } from "./commands/quantize.ts";
import { addVerify } from "./commands/verify.ts";

const cancel = new AbortController();
process.once("SIGINT", () => {
  // A second one ends the process at once.
  cancel.abort(new Error("cancelled"));
});
process.once("SIGTERM", () => cancel.abort(new Error("cancelled")));

const program = new Command("tersor")
  .description("Makes ONNX models small and fast, and proves it.")
  .version(VERSION)
  .exitOverride()
  .showHelpAfterError("(use --help for what there is)");

addInspect(program);
addQuantize(program, cancel.signal);
addVerify(program, cancel.signal);
addDoctor(program, cancel.signal);
for (const command of program.commands) command.exitOverride().showHelpAfterError("(use --help for what there is)");

try {
  await program.parseAsync();
} catch (error) {
  process.exitCode = report(error);
}

function report(error: unknown): number {
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
  if (cancel.signal.aborted) {
    process.stderr.write("tersor: cancelled; nothing was written\n");
    return 130;
  }
  // Errors of a child process have our classes' names, not their classes.
  const expected =
    error instanceof TersorError ||
    (error instanceof Error && /^(Format|Graph|Unsupported|Option|Input|Verification)Error$/.test(error.name));
  if (error instanceof Error && expected) {
    process.stderr.write(`tersor: ${error.message}\n`);
    return error.name === "VerificationError" ? 1 : 2;
  }
  process.stderr.write(
    `tersor: unexpected error, please report it:\n${error instanceof Error ? error.stack : error}\n`,
  );
  return 2;
}

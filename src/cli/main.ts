#!/usr/bin/env node
/**
 * @file The command `tersor`. Exit status: 0 done, 1 the result misses verification, 2 bad usage or input, 130 cancelled.
 */
import { Command, CommanderError } from "commander";
import { TersorError } from "../util/errors.ts";
import { VERSION } from "../version.ts";
import { printJson } from "./output.ts";

const DONE = 0;
const MISSED = 1;
const BAD_INPUT = 2;
const CANCELLED = 130;
const OURS = /^(Format|Graph|Unsupported|Option|Input|Verification|Divergence)Error$/;
/** What was asked for was done, and came out wrong. */
const MISSES: ReadonlySet<string> = new Set(["VerificationError", "DivergenceError"]);

const cancel = new AbortController();
/** npm and tsx pass on a signal that the whole group gets already: what follows within it is the same key. */
const SAME_KEY_MS = 500;
let cancelledAt: number | undefined;
for (const signal of ["SIGINT", "SIGTERM"] as const) {
  process.on(signal, () => {
    // A second one does not wait for the work at hand; what was begun is removed all the same.
    if (cancelledAt !== undefined && performance.now() - cancelledAt > SAME_KEY_MS) process.exit(CANCELLED);
    cancelledAt ??= performance.now();
    cancel.abort(new Error("cancelled"));
  });
}
// `tersor … | head` ends when head has seen enough.
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code === "EPIPE") process.exit(process.exitCode ?? 0);
  throw error;
});
// What a user's module prints is a message, too: standard output is for results.
console.log = console.info = console.debug = console.error;

const program = new Command("tersor")
  .description("Makes ONNX models small and fast, and proves it.")
  .version(VERSION)
  .exitOverride()
  .showHelpAfterError("(use --help for what there is)");

/** In the order of the help. */
const COMMANDS: Readonly<Record<string, () => Promise<(program: Command, signal: AbortSignal) => void>>> = {
  inspect: async () => (await import("./commands/inspect.ts")).addInspect,
  quantize: async () => (await import("./commands/quantize.ts")).addQuantize,
  compress: async () => (await import("./commands/compress.ts")).addCompress,
  prune: async () => (await import("./commands/prune.ts")).addPrune,
  finetune: async () => (await import("./commands/finetune.ts")).addFinetune,
  verify: async () => (await import("./commands/verify.ts")).addVerify,
  doctor: async () => (await import("./commands/doctor.ts")).addDoctor,
};
// Loading takes most of a short run: of a command that is named, only that one is loaded.
const [, , named = ""] = process.argv;
for (const [name, load] of Object.entries(COMMANDS)) {
  if (!Object.hasOwn(COMMANDS, named) || name === named) (await load())(program, cancel.signal);
}
for (const command of program.commands) command.exitOverride().showHelpAfterError("(use --help for what there is)");

try {
  await program.parseAsync();
} catch (error) {
  process.exitCode = report(error);
}

/** Says what went wrong, with `--json` on standard output too, and returns the exit status. */
function report(error: unknown): number {
  // Commander has said it already.
  if (error instanceof CommanderError) {
    if (error.exitCode === 0) return DONE;
    return fail("UsageError", error.message.replace(/^error: /, "").split("\n")[0]!, BAD_INPUT, false);
  }
  if (cancel.signal.aborted) return fail("Cancelled", "cancelled; nothing was written", CANCELLED);
  // Errors of a child process have our classes' names, not their classes.
  if (error instanceof Error && (error instanceof TersorError || OURS.test(error.name))) {
    return fail(error.name, error.message, MISSES.has(error.name) ? MISSED : BAD_INPUT);
  }
  const what = error instanceof Error ? (error.stack ?? error.message) : String(error);
  return fail("Error", `unexpected error, please report it:\n${what}`, BAD_INPUT);
}

function fail(name: string, message: string, status: number, say = true): number {
  if (say) process.stderr.write(`tersor: ${message}\n`);
  if (process.argv.includes("--json")) printJson({ ok: false, error: { name, message } });
  return status;
}

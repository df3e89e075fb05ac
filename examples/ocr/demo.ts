/**
 * @file `npm run demo`: quantizes a production OCR model in three ways and shows what each file is worth.
 * Exit status: 0 done, 1 a bound is missed or nothing could be measured, 2 bad usage, 130 cancelled.
 */

import { relative } from "node:path";
import { parseArgs } from "node:util";
import { createProgress, print, printJson } from "../../src/cli/output.ts";

const HELP = `Usage: npm run demo -- [--samples N] [--all] [--json]

Quantizes PP-OCRv4 recognition to 8 bits in three ways; reads rendered text with the original and each file
on onnxruntime-node and onnxruntime-web; prints one table. Files and pictures go to .demo/.

  --samples N   lines of text to read (default: 300). With fewer, bounds on accuracy are wider and speed is
                reported, but no reason to fail.
  --all         score all lines on a busy machine, too: else the last are left out to end within 90 seconds
  --json        print one JSON document on standard output, and nothing else there`;

interface Arguments {
  readonly samples: number;
  readonly all: boolean;
  readonly json: boolean;
}

/** What was asked for; a text is a message about bad usage. */
function readArguments(): Arguments | "help" | Error {
  try {
    const { values } = parseArgs({
      options: {
        samples: { type: "string" },
        all: { type: "boolean" },
        json: { type: "boolean" },
        help: { type: "boolean", short: "h" },
      },
    });
    if (values.help) return "help";
    const samples = Number(values.samples ?? 300);
    if (!Number.isInteger(samples) || samples < 1) {
      return new Error(`demo: --samples: expected a whole number from 1 up, got "${values.samples}".`);
    }
    return { samples, all: values.all ?? false, json: values.json ?? false };
  } catch (error) {
    return new Error(`demo: ${error instanceof Error ? error.message : error}`);
  }
}

async function demo({ samples, all, json }: Arguments): Promise<void> {
  const cancel = new AbortController();
  let first: number | undefined;
  const stop = (): void => {
    // npm and tsx pass on the signal that the whole group gets already: what follows at once is the same key.
    if (first !== undefined && performance.now() - first > 500) process.exit(130);
    first ??= performance.now();
    cancel.abort(new Error("cancelled"));
  };
  process.on("SIGINT", stop);
  process.on("SIGTERM", stop);
  const bar = createProgress();
  const start = performance.now();
  const stage = (text: string): void => {
    bar.clear();
    process.stderr.write(`[${((performance.now() - start) / 1000).toFixed(0).padStart(3)} s] ${text}\n`);
  };
  try {
    // Imported now, so that a package that is missing is an error with a text of ours.
    const { runDemo } = await import("./run.ts");
    const { renderReport } = await import("./table.ts");
    const report = await runDemo({ samples, all, signal: cancel.signal, progress: bar.update, stage });
    bar.clear();
    if (json) printJson(report);
    else print(`\n${renderReport(report, (path) => relative(process.cwd(), path))}`);
    process.exitCode = report.ok ? 0 : 1;
  } catch (error) {
    bar.clear();
    process.exitCode = cancel.signal.aborted ? 130 : 1;
    process.stderr.write(`${cancel.signal.aborted ? "demo: cancelled" : explain(error)}\n`);
  } finally {
    process.off("SIGINT", stop);
    process.off("SIGTERM", stop);
  }
}

function explain(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const { code } = error as NodeJS.ErrnoException;
  if (code === "ERR_MODULE_NOT_FOUND" || code === "MODULE_NOT_FOUND") {
    return `demo: packages: ${error.message.split("\n")[0]}. Run npm ci in the repository.`;
  }
  // Errors of ours say what to do; others are better with their place.
  const ours = "code" in error || error.message.startsWith("demo:");
  return ours ? error.message : (error.stack ?? error.message);
}

const given = readArguments();
if (given instanceof Error) {
  process.stderr.write(`${given.message}\n\n${HELP}\n`);
  process.exitCode = 2;
} else if (given === "help") print(HELP);
else await demo(given);

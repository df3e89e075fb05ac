/**
 * @file Runs one quantization in a process of its own and learns its time and peak memory, for Tersor and for its peers alike.
 *
 * Peak memory is `VmHWM` of /proc/self/status, read by the child at its end: the largest resident size since its own start.
 * `ru_maxrss` would not do: Linux hands it down through fork and exec, so a child never has less than its parent had.
 */
import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";

/** What a child prints as the last line of its output. */
export interface ChildReply {
  /** Seconds from imports done to file written: without the start of interpreter and loader. */
  readonly seconds: number;
  /** Bytes resident once everything was imported. */
  readonly baseBytes: number;
  /** Largest resident size in bytes. */
  readonly peakBytes: number;
  /** Whatever else there is to tell. */
  readonly notes: readonly string[];
}

export interface Timed {
  /** Seconds from start to end of the process. */
  readonly wallSeconds: number;
}

export interface ChildRun extends ChildReply, Timed {}

export interface ChildFailure {
  readonly error: string;
  readonly wallSeconds: number;
}

export interface ChildOptions {
  readonly env?: Readonly<Record<string, string>>;
  readonly timeoutMs?: number;
}

/** Runs a command to its end; the last line of its output is its reply. A failure (exit status, no reply, too slow) is a result like any other. */
export function runChild<Reply extends object = ChildReply>(
  command: string,
  args: readonly string[],
  { env, timeoutMs = 900_000 }: ChildOptions = {},
): Promise<(Reply & Timed) | ChildFailure> {
  const start = performance.now();
  return new Promise((resolve) => {
    const child = spawn(command, args, { env: { ...process.env, ...env }, stdio: ["ignore", "pipe", "pipe"] });
    let [output, errors, late] = ["", "", false];
    const timer = setTimeout(() => {
      late = true;
      child.kill("SIGKILL");
    }, timeoutMs);
    child.stdout.on("data", (text: Buffer) => {
      output += text.toString();
    });
    child.stderr.on("data", (text: Buffer) => {
      errors = (errors + text.toString()).slice(-20_000);
    });
    const end = (code: number | null, signal: string | null): void => {
      clearTimeout(timer);
      const wallSeconds = (performance.now() - start) / 1000;
      const last = output.trim().split("\n").at(-1) ?? "";
      if (code === 0 && last.startsWith("{")) resolve({ ...(JSON.parse(last) as Reply), wallSeconds });
      else {
        // Python ends with the error, Node with its version.
        const lines = errors.trim().split("\n");
        const why = lines.findLast((line) => /Error\b.*:/.test(line)) ?? lines.at(-1) ?? "";
        const how = late ? `took more than ${timeoutMs / 1000} s` : `ended with ${signal ?? `status ${code}`}`;
        resolve({ error: `${how}${why ? `: ${why.slice(0, 400)}` : ""}`, wallSeconds });
      }
    };
    child.on("error", (error) => {
      errors += error.message;
      end(null, "no start");
    });
    child.on("close", end);
  });
}

/** Runs a TypeScript file of this checkout with one JSON argument. */
export function runTypeScript<Reply extends object = ChildReply>(
  file: URL,
  spec: unknown,
  options?: ChildOptions,
): Promise<(Reply & Timed) | ChildFailure> {
  return runChild<Reply>(
    process.execPath,
    ["--import", import.meta.resolve("tsx"), file.pathname, JSON.stringify(spec)],
    options,
  );
}

/** Resident bytes of this process: now, and at most since it started. Linux only. */
export function residentBytes(): { readonly now: number; readonly peak: number } {
  const status = readFileSync("/proc/self/status", "utf8");
  const field = (name: string): number => 1024 * Number(new RegExp(`^${name}:\\s+(\\d+) kB$`, "m").exec(status)?.[1]);
  return { now: field("VmRSS"), peak: field("VmHWM") };
}

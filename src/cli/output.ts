/**
 * @file What a command prints, where: results on standard output, messages and progress on standard error.
 */
import type { Progress } from "../util/progress.ts";

/** Prints text and a newline on standard output. */
export function print(text: string): void {
  process.stdout.write(`${text}\n`);
}

/** Prints one JSON document; infinities, which JSON has not, become text. */
export function printJson(value: unknown): void {
  print(
    JSON.stringify(
      value,
      (_key, item: unknown) => {
        if (typeof item === "number" && !Number.isFinite(item)) return String(item);
        return typeof item === "bigint" ? String(item) : item;
      },
      2,
    ),
  );
}

const BAR_WIDTH = 24;
/** Milliseconds between two updates of the bar. */
const REFRESH = 80;

/** A bar on standard error where that is a terminal, else nothing. `clear()` removes it. */
export function createProgress(stream: NodeJS.WriteStream = process.stderr): {
  readonly update: Progress;
  clear(): void;
} {
  if (!stream.isTTY) return { update: () => {}, clear: () => {} };
  let last = 0;
  let lastTask = "";
  let shown = false;
  const clear = (): void => {
    if (shown) stream.write("\r\x1b[2K");
    shown = false;
  };
  return {
    clear,
    update(task, done, total) {
      const now = performance.now();
      if (now - last < REFRESH && done !== total && task === lastTask) return;
      last = now;
      lastTask = task;
      const share = total === undefined || total === 0 ? undefined : Math.min(done / total, 1);
      const filled = share === undefined ? 0 : Math.round(share * BAR_WIDTH);
      const bar = share === undefined ? "" : `${"█".repeat(filled)}${"░".repeat(BAR_WIDTH - filled)} `;
      // Nothing is counted where neither is known.
      const count = total !== undefined ? `${done}/${total}` : done > 0 ? `${done}` : "…";
      stream.write(`\r\x1b[2K  ${bar}${task} ${count}`);
      shown = true;
    },
  };
}

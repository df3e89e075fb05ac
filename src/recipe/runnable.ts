/**
 * @file Models whose external data lie outside of their folder, as copies that ONNX Runtime does not refuse.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { openModel, runnablePath } from "./open.ts";

export interface RunnableFiles {
  /** The file itself, or a copy in a temporary folder. */
  path(path: string): string;
  /** Removes the copies. */
  remove(): void;
}

/** Copies are only made of what `allowOutside` lets through; without it every file is taken as it is. */
export function runnableFiles(allowOutside: boolean | undefined): RunnableFiles {
  const copies = new Map<string, string>();
  let folder: string | undefined;
  const remove = (): void => {
    if (folder !== undefined) rmSync(folder, { recursive: true, force: true });
  };
  process.once("exit", remove);
  return {
    path(path) {
      if (!allowOutside) return path;
      const known = copies.get(path);
      if (known !== undefined) return known;
      const copy = runnablePath(openModel(path, { allowOutside }), () => {
        folder ??= mkdtempSync(join(tmpdir(), "tersor-"));
        return join(mkdtempSync(join(folder, "copy-")), basename(path));
      });
      copies.set(path, copy);
      return copy;
    },
    remove() {
      process.off("exit", remove);
      remove();
    },
  };
}

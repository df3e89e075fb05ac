/**
 * @file A folder beside the output in which files are made and measured before they take their place: a run that is
 * killed leaves the old output or none.
 */
import { existsSync, mkdtempSync, readdirSync, renameSync, rmSync, statSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import { makeFolder } from "../onnx/file-node.ts";
import { InputError, messageOf } from "../util/errors.ts";

const PREFIX = ".tersor-";

export interface Workspace {
  /** A path in the workspace with the output's own file name, in a folder of its own. */
  path(label: string): string;
  /** Moves a finished model, and the data files beside it, to the output. */
  publish(model: string): void;
  remove(): void;
}

/** @throws InputError where the output's folder cannot be written. */
export function openWorkspace(output: string): Workspace {
  const folder = dirname(resolve(output));
  const name = basename(output);
  if (statSync(output, { throwIfNoEntry: false })?.isDirectory()) {
    throw unwritable(output, "expected a file name, got a folder", "Give the name of the .onnx file to write.");
  }
  let root: string;
  try {
    makeFolder(folder);
    removeStale(folder);
    root = mkdtempSync(join(folder, `${PREFIX}${process.pid}-`));
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    const denied = code === "EACCES" || code === "EPERM" || code === "EROFS";
    const blocked = code === "ENOTDIR" || code === "EEXIST";
    throw unwritable(
      output,
      denied
        ? "its folder may not be written (permission denied)"
        : blocked
          ? "a part of its path is a file, not a folder"
          : messageOf(cause),
      "Choose another output with -o.",
    );
  }
  const remove = (): void => rmSync(root, { recursive: true, force: true });
  process.once("exit", remove);
  return {
    path(label) {
      const place = join(root, label);
      makeFolder(place);
      return join(place, name);
    },
    publish(model) {
      const data = readdirSync(dirname(model)).filter((file) => file !== name);
      // The model goes in last: it must never stand beside data of another one.
      if (data.length > 0) rmSync(output, { force: true });
      for (const file of data) renameSync(join(dirname(model), file), join(folder, file));
      renameSync(model, resolve(output));
    },
    remove() {
      process.off("exit", remove);
      remove();
    },
  };
}

/** Workspaces of runs that were killed. */
function removeStale(folder: string): void {
  for (const entry of readdirSync(folder)) {
    const pid = Number(new RegExp(`^\\${PREFIX}(\\d+)-`).exec(entry)?.[1]);
    if (Number.isInteger(pid) && !existsSync(`/proc/${pid}`) && !isAlive(pid)) {
      rmSync(join(folder, entry), { recursive: true, force: true });
    }
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}

function unwritable(path: string, problem: string, help: string): InputError {
  return new InputError({ area: "file", subject: path, problem, help });
}

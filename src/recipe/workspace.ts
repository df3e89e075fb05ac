/**
 * @file A folder beside the output in which files are made and measured before they take their place: a run that is
 * killed leaves the old output or none.
 */
import { existsSync, mkdtempSync, readdirSync, renameSync, rmdirSync, rmSync, statSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import { makeFolder } from "../onnx/file-node.ts";
import { removeLeftovers } from "../onnx/leftovers-node.ts";
import { InputError, messageOf } from "../util/errors.ts";

const PREFIX = ".tersor-";
/** Workspaces of runs that were killed. */
const LEFTOVER = /^\.tersor-(\d+)-/;

export interface Workspace {
  /** A path in the workspace with the output's own file name, in a folder of its own. */
  path(label: string): string;
  /** Moves a finished model, and the data files beside it, to the output. */
  publish(model: string): void;
  remove(): void;
}

/** @throws InputError where the output's folder cannot be written. */
export function openWorkspace(output: string): Workspace {
  if (output === "" || /[\\/]$/.test(output) || isFolder(output)) {
    const got = output === "" ? "an empty name" : "a folder";
    throw unwritable(output || '""', `expected a file name, got ${got}`, "Give the name of the .onnx file to write.");
  }
  const folder = dirname(resolve(output));
  const name = basename(output);
  const missing = missingFolders(folder);
  let root: string;
  try {
    makeFolder(folder);
    removeLeftovers(folder, LEFTOVER);
    root = mkdtempSync(join(folder, `${PREFIX}${process.pid}-`));
  } catch (cause) {
    removeEmpty(missing);
    throw unwritable(output, whyUnwritable(cause), "Choose another output with -o; nothing was written.");
  }
  const remove = (): void => {
    rmSync(root, { recursive: true, force: true });
    // Folders that were made for an output that did not come: gone, too.
    removeEmpty(missing);
  };
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

function isFolder(path: string): boolean {
  try {
    return statSync(path).isDirectory();
  } catch {
    return false;
  }
}

/** The folders of a path that are not there yet, the deepest first. */
function missingFolders(folder: string): string[] {
  return existsSync(folder) ? [] : [folder, ...missingFolders(dirname(folder))];
}

function removeEmpty(folders: readonly string[]): void {
  for (const folder of folders) {
    try {
      rmdirSync(folder);
    } catch {
      // Something is in it, or it was never made.
    }
  }
}

function whyUnwritable(cause: unknown): string {
  switch ((cause as NodeJS.ErrnoException).code) {
    case "EACCES":
    case "EPERM":
    case "EROFS":
      return "its folder may not be written (permission denied)";
    case "ENOTDIR":
    case "EEXIST":
      return "a part of its path is a file, not a folder";
    case "ENOENT":
      return "nothing can be made in its folder";
    case "ENOSPC":
      return "the disk is full";
    default:
      return messageOf(cause);
  }
}

function unwritable(path: string, problem: string, help: string): InputError {
  return new InputError({ area: "file", subject: path, problem, help });
}

/**
 * @file Clears away what runs that were killed left behind: temporary folders that carry the number of their process.
 */
import { readdirSync, rmSync } from "node:fs";
import { join } from "node:path";

/**
 * Removes entries of a folder whose process is gone.
 * @param pattern of their names; its first group is the process's number.
 */
export function removeLeftovers(folder: string, pattern: RegExp): void {
  for (const name of readdirSync(folder)) {
    const pid = Number(pattern.exec(name)?.[1]);
    if (Number.isInteger(pid) && pid !== process.pid && !isAlive(pid)) {
      rmSync(join(folder, name), { recursive: true, force: true });
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

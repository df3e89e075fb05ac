/**
 * @file Processor time of a process and all that it has started: on a busy machine the wall's clock tells of the others. Linux only.
 */
import { readdirSync, readFileSync } from "node:fs";

/** USER_HZ, which every Linux on x86 and ARM has. */
const MS_PER_TICK = 10;

interface Stat {
  readonly pid: number;
  readonly parent: number;
  readonly ms: number;
}

/** Milliseconds so far, of processes that are alive; undefined where there is no /proc. See proc(5): /proc/pid/stat. */
export function processorTimeOf(root: number): number | undefined {
  const all = readAll();
  if (!all.some(({ pid }) => pid === root)) return undefined;
  const tree = new Set([root]);
  for (let before = 0; before < tree.size; ) {
    before = tree.size;
    for (const { pid, parent } of all) if (tree.has(parent)) tree.add(pid);
  }
  return all.filter(({ pid }) => tree.has(pid)).reduce((sum, { ms }) => sum + ms, 0);
}

function readAll(): readonly Stat[] {
  try {
    return readdirSync("/proc")
      .filter((name) => /^\d+$/.test(name))
      .flatMap((name) => readStat(Number(name)) ?? []);
  } catch {
    return [];
  }
}

function readStat(pid: number): Stat | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, "utf8");
    // The name, in parentheses, may have spaces. Then: state, parent, …, user time (14th), system time (15th).
    const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
    return { pid, parent: Number(fields[1]), ms: MS_PER_TICK * (Number(fields[11]) + Number(fields[12])) };
  } catch {
    // It has ended.
    return undefined;
  }
}

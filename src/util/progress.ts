/**
 * @file How long work says where it is, and how it is told to stop.
 */

/** `done` of `total` units of what `task` names; total undefined where it is not known. */
export type Progress = (task: string, done: number, total?: number) => void;

/** Throws the signal's reason where it is aborted: called between units of work. */
export function checkCancelled(signal: AbortSignal | undefined): void {
  signal?.throwIfAborted();
}

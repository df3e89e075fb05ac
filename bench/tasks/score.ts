/**
 * @file Judges model files by a task on one target, in a process of its own.
 */

import type { TargetName } from "../../src/runtime/targets.ts";
import { type ChildFailure, runTypeScript } from "../child-process.ts";
import type { Part } from "./task.ts";

export interface ScoreRequest {
  readonly task: string;
  readonly target: TargetName;
  /** Paths; the first is the original. */
  readonly files: readonly string[];
  /** Evaluation samples to judge by. */
  readonly samples: number;
  /** The first samples, on which outputs are compared as well. */
  readonly compared: number;
}

export interface FileScore {
  /** Decibels against the original on the same target; undefined for the original itself. */
  readonly sqnr?: number;
  /** By figure, then by sample. */
  readonly parts: readonly (readonly Part[])[];
  /** Why it does not load or run. */
  readonly error?: string;
}

export interface ScoreReply {
  readonly runtime: string;
  readonly files: readonly FileScore[];
}

const HOUR_MS = 3_600_000;

/** @throws Error where the process fails, which it does only if the original fails. */
export async function scoreFiles(request: ScoreRequest): Promise<ScoreReply> {
  const child = new URL("./score-child.ts", import.meta.url);
  const reply = await runTypeScript<ScoreReply>(child, request, { timeoutMs: HOUR_MS });
  if (isFailure(reply)) throw new Error(`bench: ${request.task} on ${request.target}: ${reply.error}`);
  return reply;
}

function isFailure(reply: object): reply is ChildFailure {
  return "error" in reply;
}

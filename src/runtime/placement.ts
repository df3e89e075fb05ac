/**
 * @file Which nodes of a session are left to the processor, from ONNX Runtime's log: no interface tells it.
 * Source: onnxruntime/core/framework/session_state.cc, VerifyEachNodeIsAssignedToAnEp, which writes at level verbose.
 */
import type { NodePlacement } from "./runtime.ts";

const METHODS = ["log", "info", "warn", "error", "debug"] as const;

/**
 * Keeps what is written on the console from now on, in place of writing it. The WASM module takes the console's functions
 * when it starts, so the first call in a worker must come before its first session.
 */
export function watchLog(): { readonly lines: readonly string[]; stop(): void } {
  catchConsole();
  const lines: string[] = [];
  listener = (text) => lines.push(...text.split("\n"));
  return {
    lines,
    stop() {
      listener = undefined;
    },
  };
}

let caught = false;
let listener: ((text: string) => void) | undefined;

/** Puts functions into the console that {@link watchLog} can listen to; until then they write as before. */
export function catchConsole(): void {
  if (caught) return;
  caught = true;
  for (const method of METHODS) {
    const write = console[method].bind(console);
    console[method] = (...values: unknown[]) => {
      if (listener === undefined) write(...values);
      else listener(values.map(String).join(" "));
    };
  }
}

/** Undefined where the log says nothing of nodes: another version words it otherwise. */
export function parsePlacement(lines: readonly string[]): NodePlacement | undefined {
  const onCpu: Record<string, number> = {};
  let nodes = 0;
  let provider: string | undefined;
  for (const line of lines) {
    const all = /All nodes placed on \[(\w+)\]\. Number of nodes: (\d+)/.exec(line);
    const head = all ?? /Node\(s\) placed on \[(\w+)\]\. Number of nodes: (\d+)/.exec(line);
    if (head !== null) {
      provider = head[1]!;
      nodes += Number(head[2]);
      // Then the nodes are not listed.
      if (all !== null && isCpu(provider)) onCpu["any"] = Number(head[2]);
      continue;
    }
    const node = /VerifyEachNodeIsAssignedToAnEp\]\s+(\S+) \(/.exec(line);
    if (node !== null && provider !== undefined && isCpu(provider)) onCpu[node[1]!] = (onCpu[node[1]!] ?? 0) + 1;
  }
  return provider === undefined ? undefined : { nodes, onCpu };
}

function isCpu(provider: string): boolean {
  return provider === "CPUExecutionProvider";
}

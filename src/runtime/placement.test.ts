/** @file Tests of placement.ts on lines as onnxruntime-web 1.30 writes them. */
import { expect, it } from "vitest";
import { parsePlacement } from "./placement.ts";

const line = (text: string): string =>
  `2026-11-24 07:10:23 [V:onnxruntime:, session_state.cc:1385 VerifyEachNodeIsAssignedToAnEp] ${text}`;

it("counts nodes, and names those on the processor", () => {
  const lines = [
    line("Node placements"),
    line(" Node(s) placed on [CPUExecutionProvider]. Number of nodes: 3"),
    line("  Clip (p2o.Clip.0)"),
    line("  Clip (p2o.Clip.2)"),
    line("  Cast ()"),
    line(" Node(s) placed on [WebGpuExecutionProvider]. Number of nodes: 2"),
    line("  Add (p2o.Add.0)"),
    line("  Mul (p2o.Mul.0)"),
  ];
  expect(parsePlacement(lines)).toEqual({ nodes: 5, onCpu: { Clip: 2, Cast: 1 } });
});

it("knows models that are in one place", () => {
  const all = (provider: string) => [line(` All nodes placed on [${provider}]. Number of nodes: 7`)];
  expect(parsePlacement(all("WebGpuExecutionProvider"))).toEqual({ nodes: 7, onCpu: {} });
  expect(parsePlacement(all("CPUExecutionProvider"))).toEqual({ nodes: 7, onCpu: { any: 7 } });
});

it("says nothing where the log says nothing", () => {
  expect(parsePlacement(["[I:onnxruntime:, graph.cc:1] something else"])).toBeUndefined();
});

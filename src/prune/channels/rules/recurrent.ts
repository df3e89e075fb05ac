/**
 * @file LSTM, GRU and RNN: a hidden unit is its rows in all gates, its column of R, and a position of every state.
 *
 *   X [T, N, I]   W [D, g·H, I]   R [D, g·H, H]   B [D, 2·g·H]   states [D, N, H]   P [D, 3·H]
 *   Y [T, D, N, H]   Y_h, Y_c [D, N, H]           with layout 1, N stands first: X [N, T, I], Y [N, T, D, H], Y_h [N, D, H]
 *
 * Both directions share the axis H of Y, so a unit goes in both. R takes the unit back in: a sink, as the next layer is one.
 */
import type { Axis } from "../ids.ts";
import type { Rule, Rules } from "../rule.ts";

const recurrent: Rule = (c) => {
  const hidden = c.inputDims(2)[2]!;
  const w = c.axes(1)!;
  const r = c.axes(2)!;
  const x = c.axes(0)!;
  c.join(x[2], w[2]);
  c.sink(1, 2);
  const units: Axis = r[2];
  c.sink(2, 2);
  c.forbid(w[0], "it has one part per direction");
  c.forbid(r[0], "it has one part per direction");
  const gates = (axis: Axis): void => {
    if (units === undefined) c.forbid(axis, "it has one hidden unit");
    else c.tieEach(axis, (i) => units[i % hidden]!);
  };
  gates(w[1]);
  gates(r[1]);
  const byRows = c.node.int("layout", 0) !== 0;
  for (const index of [3, 7]) gates(c.axes(index)?.[1]);
  for (const index of [3, 7]) c.forbid(c.axes(index)?.[0], "it has one part per direction");
  const sequence = c.axes(4);
  const [time, rows] = byRows ? [x[1], x[0]] : [x[0], x[1]];
  c.forbid(time, "it goes through this axis step by step");
  const n = sequence === undefined ? rows : c.join(rows, sequence[0]);
  for (const index of [5, 6]) {
    const state = c.axes(index);
    if (state === undefined) continue;
    c.forbid(state[byRows ? 1 : 0], "it has one part per direction");
    if (c.inputDims(index)[byRows ? 0 : 1] !== 1) c.join(n, state[byRows ? 0 : 1]);
    c.join(units, state[2]);
  }
  c.node.outputs.forEach((value, index) => {
    if (value === undefined) return;
    if (index === 0) c.setOutput(byRows ? [n, undefined, undefined, units] : [undefined, undefined, n, units]);
    else c.setOutput(byRows ? [n, undefined, units] : [undefined, n, units], index);
    c.source(1, 1, index === 0 ? 3 : 2, index);
  });
  c.onShrink((kept) => {
    if (units !== undefined && kept.shrinks(units)) c.node.set("hidden_size", { int: kept.positions(units).length });
  });
};

export const RECURRENT: Rules = { LSTM: recurrent, GRU: recurrent, RNN: recurrent };

/**
 * @file Modules made of modules. Source: torch.nn.Sequential.
 */
import type { Module } from "./module.ts";

/**
 * One after the other, named "0", "1", … as in PyTorch's Sequential; or by the keys of a record, as in Sequential(OrderedDict).
 */
export function sequential(...modules: readonly Module[] | readonly [Readonly<Record<string, Module>>]): Module {
  const [first] = modules;
  const entries = Object.entries(typeof first === "object" ? first : modules) as [string, Module][];
  return (s, x) => entries.reduce((value, [name, module]) => s.child(name, module, value), x);
}

/** x + body(x), or shortcut(x) + body(x): named "body" and "shortcut". */
export function residual(body: Module, shortcut?: Module): Module {
  return (s, x) => {
    const straight = shortcut === undefined ? x : s.child("shortcut", shortcut, x);
    const y = s.child("body", body, x);
    const [a, b] = [straight.shape, y.shape];
    if (
      a &&
      b &&
      (a.length !== b.length || a.some((dim, i) => typeof dim === "number" && typeof b[i] === "number" && dim !== b[i]))
    ) {
      throw s.error(
        `expected a body that keeps [${a.join(", ")}], got [${b.join(", ")}]`,
        "Give a shortcut that changes the shape alike.",
      );
    }
    return s.typed(s.b.add(y, straight), a);
  };
}

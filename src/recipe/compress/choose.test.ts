import { describe, expect, it } from "vitest";
import { type Entry, front, leastLoss, nextProofs, objective, winner } from "./choose.ts";
import { fakeProof } from "./fake-bench.ts";

interface Fake {
  readonly name: string;
  readonly bytes: number;
  readonly sqnr: number;
  readonly speed?: number;
  readonly loss?: number;
}

function entry({ name, bytes, sqnr, speed = 1, loss }: Fake): Entry {
  return {
    candidate: { scheme: "static-int8", step: {}, targets: ["node-cpu"] },
    name,
    proxy: { byteLength: bytes, hash: name, structure: name, sqnr, speed: { "node-cpu": speed }, samples: 1 },
    proofs: new Map(loss === undefined ? [] : [["node-cpu", fakeProof({ loss, speed }, "node-cpu")]]),
  };
}

const names = (entries: readonly Entry[]): string[] => entries.map(({ name }) => name);
const frontOf = (entries: readonly Entry[]): Entry[] => front(entries, "node-cpu", 1000, "balanced");

describe("objective", () => {
  const file = entry({ name: "a", bytes: 500, sqnr: 1, speed: 2 });
  it("is bytes × time, each as a share of the original's", () => {
    expect(objective(file, "node-cpu", 1000, "balanced")).toBeCloseTo(0.25, 12);
  });

  it("is what is preferred, and the other a little", () => {
    const slower = entry({ name: "b", bytes: 400, sqnr: 1, speed: 1 });
    const of = (one: Entry, prefer: "size" | "speed"): number => objective(one, "node-cpu", 1000, prefer);
    expect(of(slower, "size")).toBeLessThan(of(file, "size"));
    expect(of(file, "speed")).toBeLessThan(of(slower, "speed"));
    const equal = entry({ name: "c", bytes: 500, sqnr: 1, speed: 1 });
    expect(of(file, "size")).toBeLessThan(of(equal, "size"));
  });

  it("counts measured speed before estimated one", () => {
    const { proxy, ...rest } = entry({ name: "a", bytes: 500, sqnr: 1, speed: 2 });
    const measured = {
      ...rest,
      proxy,
      proofs: new Map([["node-cpu" as const, fakeProof({ loss: 0, speed: 4 }, "node-cpu")]]),
    };
    expect(objective(measured, "node-cpu", 1000, "balanced")).toBeCloseTo(0.125, 12);
  });
});

describe("front", () => {
  it("is sorted from the best to the safest, without what is worse in both", () => {
    const entries = [
      entry({ name: "safe", bytes: 900, sqnr: 50 }),
      entry({ name: "worse", bytes: 500, sqnr: 20 }),
      entry({ name: "small", bytes: 300, sqnr: 15 }),
      entry({ name: "good", bytes: 400, sqnr: 30 }),
    ];
    expect(names(frontOf(entries))).toEqual(["small", "good", "safe"]);
  });

  it("keeps the closest of those that are equally good", () => {
    const entries = [300, 300.5, 301].map((bytes, i) => entry({ name: `${i}`, bytes, sqnr: [20, 30, 25][i]! }));
    expect(names(frontOf(entries))).toEqual(["1"]);
  });

  it("has nothing that is slower than the original", () => {
    expect(frontOf([entry({ name: "slow", bytes: 100, sqnr: 40, speed: 0.9 })])).toEqual([]);
  });
});

describe("nextProofs", () => {
  const line = (losses: readonly (number | undefined)[]): Entry[] =>
    losses.map((loss, i) => entry({ name: `${i}`, bytes: 100 + i, sqnr: i, ...(loss !== undefined && { loss }) }));
  const next = (losses: readonly (number | undefined)[], most = 3): string[] =>
    names(nextProofs(line(losses), "node-cpu", most));

  it("takes the ends and the middle of what is not known", () => {
    expect(next([undefined, undefined, undefined, undefined, undefined])).toEqual(["0", "2", "4"]);
    expect(next([undefined, undefined])).toEqual(["0", "1"]);
  });

  it("looks between what lost too much and what did not", () => {
    expect(next([0.5, undefined, undefined, 0, undefined])).toEqual(["1", "2"]);
    expect(next([undefined, 0.5, undefined, 0])).toEqual(["2"]);
    expect(next([0.5, 0])).toEqual([]);
    expect(next([0])).toEqual([]);
  });
});

describe("winner", () => {
  it("is the one that loses least of those that are equally good", () => {
    const entries = [
      entry({ name: "best", bytes: 300, sqnr: 20, loss: 0 }),
      entry({ name: "equal", bytes: 303, sqnr: 30, loss: 0 }),
      entry({ name: "larger", bytes: 500, sqnr: 50, loss: 0 }),
      entry({ name: "unproven", bytes: 100, sqnr: 60 }),
    ];
    expect(winner(entries, "node-cpu", 1000, "balanced")?.name).toBe("equal");
  });

  it("is never larger than the original", () => {
    expect(winner([entry({ name: "a", bytes: 1001, sqnr: 50, loss: 0 })], "node-cpu", 1000, "speed")).toBeUndefined();
  });

  it("is not there where all lose too much; then the least loss is known", () => {
    const entries = [
      entry({ name: "a", bytes: 300, sqnr: 20, loss: 0.2 }),
      entry({ name: "b", bytes: 300, sqnr: 20, loss: 0.02 }),
    ];
    expect(winner(entries, "node-cpu", 1000, "balanced")).toBeUndefined();
    expect(leastLoss(entries, "node-cpu")?.name).toBe("b");
  });
});

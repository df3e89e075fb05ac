import { describe, expect, it } from "vitest";
import type { TargetName } from "../../runtime/targets.ts";
import { type Candidate, candidateKey } from "./candidate.ts";
import { FakeBench, type FakeFile, fakeProof } from "./fake-bench.ts";
import { type SearchOptions, search } from "./search.ts";

const BOTH: readonly TargetName[] = ["node-cpu", "web-wasm"];

function options(bench: FakeBench, more: Partial<SearchOptions> = {}): SearchOptions {
  return {
    targets: BOTH,
    calibrated: true,
    originalBytes: 1000,
    prefer: "balanced",
    timeMs: 1000,
    now: () => bench.time,
    ...more,
  };
}

const isPlain = ({ step }: Candidate): boolean => Object.keys(step).length === 0;

/** static-int8 is best and good, dynamic-int8 slower than weight-int8. */
const easy = ({ scheme }: Candidate): FakeFile => {
  if (scheme === "static-int8") return { bytes: 300, sqnr: 30, speed: 2, loss: 0.001, hash: "static" };
  if (scheme === "dynamic-int8") return { bytes: 300, sqnr: 25, speed: 0.9, loss: 0.002 };
  return { bytes: 290, sqnr: 40, speed: 1, loss: 0, hash: "weight" };
};

describe("search", () => {
  it("takes the best file that keeps to the budget, for all targets", async () => {
    const bench = new FakeBench(easy);
    const { winners, timeUp, ranking } = await search(bench, options(bench));
    expect([...winners].map(([target, { name }]) => [target, name])).toEqual([
      ["node-cpu", "static-int8"],
      ["web-wasm", "static-int8"],
    ]);
    expect(timeUp).toBe(false);
    expect(ranking).toBeUndefined();
  });

  it("proves the first candidate before it looks at others", async () => {
    const bench = new FakeBench(easy);
    await search(bench, options(bench));
    expect(bench.calls.slice(0, 3)).toEqual([
      expect.stringContaining('look ["static-int8",[]'),
      "prove 1 on node-cpu",
      "prove 1 on web-wasm",
    ]);
  });

  it("leaves a proven file where there is no time at all", async () => {
    const bench = new FakeBench(easy, { cost: 10 });
    const { winners, timeUp, entries } = await search(bench, options(bench, { timeMs: 0 }));
    expect(winners.get("node-cpu")?.name).toBe("static-int8");
    expect(bench.calls).toHaveLength(3);
    expect(timeUp).toBe(true);
    expect(entries.filter(({ why }) => why === "the time was up").length).toBeGreaterThan(3);
  });

  it("does not go on looking past its share of the time", async () => {
    const bench = new FakeBench(easy, { cost: 100 });
    await search(bench, options(bench));
    const looks = bench.calls.filter((call) => call.startsWith("look")).length;
    // 85 % of ten calls, and the two proofs.
    expect(looks).toBeLessThanOrEqual(7);
    expect(bench.time).toBeLessThan(1300);
  });

  it("passes over what the model does not allow, and tells why", async () => {
    const bench = new FakeBench((candidate) => (candidate.scheme === "weight-int8" ? easy(candidate) : undefined));
    const { winners, entries } = await search(bench, options(bench));
    expect(winners.get("node-cpu")?.candidate.scheme).toBe("weight-int8");
    expect(entries.find(({ candidate }) => candidate.scheme === "dynamic-int8")?.why).toContain("is not possible");
  });

  it("gives nodes back to float where the best file loses too much", async () => {
    const nodes = [
      { node: "bad", opType: "Conv", loss: 0.1, value: 10, bytesSaved: 5 },
      { node: "fine", opType: "Conv", loss: 0.001, value: 30, bytesSaved: 500 },
    ];
    const bench = new FakeBench(
      (candidate) => {
        const kept = JSON.stringify(candidate.step).includes("bad");
        if (candidate.scheme === "weight-int8") return { bytes: 300, sqnr: 50, speed: 1, loss: 0 };
        if (candidate.scheme === "dynamic-int8") return undefined;
        return { bytes: kept ? 310 : 300, sqnr: kept ? 35 : 12, speed: 2, loss: kept ? 0.005 : 0.05 };
      },
      { nodes },
    );
    const { winners, ranking } = await search(bench, options(bench));
    expect(JSON.stringify(winners.get("node-cpu")?.candidate.step)).toContain("bad");
    expect(ranking?.nodes).toBe(nodes);
  });

  it("has no winner where nothing keeps to the budget", async () => {
    const bench = new FakeBench((candidate) => ({ ...easy(candidate), loss: 0.5 }));
    const { winners, entries } = await search(bench, options(bench));
    expect(winners.size).toBe(0);
    expect(entries.some(({ proofs }) => proofs.size > 0)).toBe(true);
    expect(bench.calls).toContain("rank");
  });

  it("keeps a file for each target where they differ", async () => {
    const bench = new FakeBench((candidate) => {
      const { scheme, targets } = candidate;
      if (scheme !== "static-int8") return { bytes: 300, sqnr: 40, speed: 1, loss: 0, hash: scheme };
      if (!isPlain(candidate)) return undefined;
      return { bytes: 300, sqnr: 30, speed: targets.length === 1 ? 3 : 2, loss: 0, hash: candidateKey(candidate) };
    });
    const { winners } = await search(bench, options(bench));
    expect(winners.get("node-cpu")?.name).toBe("static-int8 for node-cpu");
    expect(winners.get("web-wasm")?.name).toBe("static-int8 for web-wasm");
  });

  it("tells a target that does not run here from one without a file", async () => {
    const bench = new FakeBench(easy);
    const { winners, notRunHere } = await search(bench, options(bench, { targets: ["node-cpu", "tensorrt"] }));
    expect([...winners.keys()]).toEqual(["node-cpu"]);
    expect(notRunHere.get("tensorrt")).toBe("it is elsewhere");
  });

  it("does not ask again for what is known", async () => {
    const first = new FakeBench(easy);
    const { entries } = await search(first, options(first));
    const known = new Map(
      entries.flatMap(({ candidate, proxy, proofs }) =>
        proxy === undefined ? [] : [[candidateKey(candidate), { proxy, proofs }] as const],
      ),
    );
    const second = new FakeBench(easy);
    const { winners } = await search(second, options(second, { known }));
    expect(second.calls).toEqual([]);
    expect(winners.get("web-wasm")?.name).toBe("static-int8");
  });

  it("stops with the signal's reason", async () => {
    const control = new AbortController();
    const bench = new FakeBench((candidate) => {
      if (candidate.scheme === "dynamic-int8") control.abort(new Error("enough"));
      return easy(candidate);
    });
    await expect(search(bench, options(bench, { signal: control.signal }))).rejects.toThrow("enough");
  });

  it("without samples tries only schemes that need none", async () => {
    const bench = new FakeBench(easy);
    await search(bench, options(bench, { calibrated: false }));
    expect(bench.calls.join("\n")).not.toContain("static-int8");
  });
});

describe("fake proofs", () => {
  it("are slower where the speed is below 1", () => {
    expect(fakeProof({ loss: 0, speed: 0.9 }, "node-cpu").ok).toBe(false);
  });
});

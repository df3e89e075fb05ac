import { describe, expect, it } from "vitest";
import { bytesOf, modelOf, runtimes } from "../../../test/helpers.ts";
import { Tensor } from "../../tensor/tensor.ts";
import { createRandom } from "../../util/random.ts";
import { decodeStatistics, encodeStatistics } from "../observers/statistics.ts";
import { calibrate } from "./calibrate.ts";
import { convert } from "./convert.ts";
import { type Prepared, prepare } from "./prepare.ts";
import { adoptCalibration, takeStatistics, useStatistics } from "./statistics.ts";

const NET = `(float[1, 8, 12, 12] x) => (float[1, 8, 8, 8] y) <float[8, 8, 3, 3] w = random(1), float[8, 8, 3, 3] v = random(2), float[8] b = random(3)>
  { [first] a = Conv(x, w, b)  r = Relu(a)  [second] y = Conv(r, v) }`;
const OPTIONS = { minElements: 1, target: ["node-cpu" as const], force: true, storeRest: false };

function data(count = 4): { name: string; length: number; samples(): { inputs: { x: Tensor } }[] } {
  const random = createRandom(5);
  const samples = Array.from({ length: count }, () => ({
    inputs: {
      x: Tensor.float32(
        [1, 8, 12, 12],
        Float32Array.from({ length: 8 * 144 }, () => random.normal()),
      ),
    },
  }));
  return { name: "samples", length: count, samples: () => samples };
}

async function calibrated(options: object = {}): Promise<Prepared> {
  const prepared = await prepare(modelOf(NET), { ...OPTIONS, ...options });
  await calibrate(prepared, data(), { runtime: await runtimes.node() });
  return prepared;
}

describe.each(["min-max", "histogram", "entropy"] as const)("statistics of %s", (observer) => {
  it("through a file give the same model as calibrating does", async () => {
    const direct = await calibrated({ observer });
    const text = encodeStatistics(takeStatistics(direct, "abc"));
    convert(direct);
    const again = await prepare(modelOf(NET), { ...OPTIONS, observer });
    expect(useStatistics(again, decodeStatistics(text, "st.json"), "abc", "st.json")).toEqual([]);
    expect(again.samples).toBe(4);
    convert(again);
    expect(bytesOf(again.model)).toEqual(bytesOf(direct.model));
  });

  it("of all nodes serve some of them, and other schemes", async () => {
    const all = await calibrated({ observer });
    for (const options of [{ include: ["second"] }, { activations: "int8" as const, symmetric: true }]) {
      const fresh = await calibrated({ observer, ...options });
      const adopted = await prepare(modelOf(NET), { ...OPTIONS, observer, ...options });
      expect(adoptCalibration(adopted, all)).toEqual([]);
      convert(fresh);
      convert(adopted);
      expect(bytesOf(adopted.model)).toEqual(bytesOf(fresh.model));
    }
  });
});

describe("statistics", () => {
  it("of another model, or of another observer, do not serve", async () => {
    const statistics = takeStatistics(await calibrated(), "abc");
    const other = await prepare(modelOf(NET), OPTIONS);
    expect(() => useStatistics(other, statistics, "def", "st.json")).toThrow(
      /st.json: expected statistics of this model \(def\), got those of another one \(abc\)/,
    );
    const histogram = await prepare(modelOf(NET), { ...OPTIONS, observer: "histogram" });
    expect(useStatistics(histogram, statistics, "abc", "st.json")).toHaveLength(3);
  });

  it("of some nodes name what is missing", async () => {
    const some = await calibrated({ include: ["second"] });
    const all = await prepare(modelOf(NET), OPTIONS);
    expect(adoptCalibration(all, some).map(({ name }) => name)).toEqual(["x"]);
  });
});

describe("convert", () => {
  it("refuses observers that saw nothing, by name, or leaves their nodes in float", async () => {
    const prepared = await prepare(modelOf(NET), OPTIONS);
    expect(() => convert(prepared)).toThrow(/convert: expected observers that saw data, got none at "x", "r", "y"/);
    const report = convert(await prepare(modelOf(NET), OPTIONS), { unseen: "float" });
    expect(report.changed).toBe(0);
    expect(report.leftAlone?.map(({ reason }) => reason)).toEqual(
      new Array(2).fill("the calibration data never reach it"),
    );
  });
});

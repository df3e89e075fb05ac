/** @file Tests of reports: whole, well-formed, deaf to what names say, and silent about what there is nothing to say of. */
import { describe, expect, it } from "vitest";
import {
  compressData,
  doctorGroup,
  machine,
  notRun,
  proven,
  quantizeData,
  SHOWN,
  smokeTested,
  verifyData,
} from "../../../test/report-fixtures.ts";
import { findAll, parseStrictHtml, textOf } from "../../../test/strict-html.ts";
import type { TargetMeasurement } from "../job.ts";
import { shellCommand } from "./page.ts";
import { type Report, renderReport } from "./render.ts";
import type { TrainingData } from "./sections/training.ts";

const doctorData = { path: "folder", groups: [doctorGroup, doctorGroup], machine, command: "tersor doctor folder" };
const training: TrainingData = {
  steps: 30,
  curve: [5, 10, 20, 30].map((step) => ({ step, count: 5, loss: 1 / step, layers: step < 20 })),
  validations: [0, 20, 30].map((step) => ({
    step,
    epoch: 0,
    loss: 2 / (step + 1),
    metric: "top-1",
    value: 0.5 + step / 100,
  })),
  metric: { name: "top-1", direction: "higher", unit: "share" },
  best: { step: 20, epoch: 0, loss: 0.1, metric: "top-1", value: 0.7 },
};
const REPORTS: readonly Report[] = [
  { kind: "quantize", ...quantizeData },
  { kind: "verify", ...verifyData },
  { kind: "verify", ...verifyData, training },
  {
    kind: "verify",
    original: verifyData.original,
    targets: [{ ...proven, files: [proven.files[0]!] }],
    ok: true,
    machine,
  },
  { kind: "verify", original: verifyData.original, targets: [notRun], ok: false, machine },
  { kind: "doctor", ...doctorData },
  { kind: "compress", ...compressData },
  {
    kind: "compress",
    input: compressData.input,
    ok: false,
    obstacles: ["time was up"],
    winners: [],
    tried: [],
    machine,
  },
];

/** Titles of the sections, in order. */
const sectionsOf = (report: Report): string[] => findAll(parseStrictHtml(renderReport(report)), "h2").map(textOf);

describe.each(REPORTS.map((report, index) => ({ report, title: `${report.kind} ${index}` })))(
  "$title",
  ({ report }) => {
    const text = renderReport(report);
    const page = parseStrictHtml(text);

    it("is one file that loads and runs nothing", () => {
      expect(findAll(page, "script")).toEqual([]);
      expect(text).not.toMatch(/\b(src|srcset|action|data|xlink:href)="|url\(|@import|https?:/);
      for (const { attributes } of findAll(page, "a")) expect(attributes["href"]).toMatch(/^#/);
      for (const { attributes } of ["a", "svg", "section", "td", "p"].flatMap((tag) => findAll(page, tag))) {
        expect(Object.keys(attributes).filter((key) => key.startsWith("on"))).toEqual([]);
      }
      expect(text).toContain("default-src 'none'".replaceAll("'", "&#39;"));
    });

    it("can be read without seeing it", () => {
      expect(findAll(page, "html")[0]!.attributes["lang"]).toBe("en");
      expect(findAll(page, "h1")).toHaveLength(1);
      for (const picture of findAll(page, "svg")) {
        expect(picture.attributes["role"]).toBe("img");
        const [title] = picture.children;
        expect(typeof title === "object" && title.tag === "title" && textOf(title) !== "").toBe(true);
      }
      for (const table of findAll(page, "table")) {
        expect(findAll(table, "caption")).toHaveLength(1);
        const heads = findAll(findAll(table, "thead")[0]!, "th");
        expect(heads.every(({ attributes }) => attributes["scope"] === "col")).toBe(true);
        for (const row of findAll(findAll(table, "tbody")[0]!, "tr")) expect(row.children).toHaveLength(heads.length);
      }
      const ids = findAll(page, "section").map(({ attributes }) => `#${attributes["id"]}`);
      const links = findAll(findAll(page, "nav")[0]!, "a").map(({ attributes }) => attributes["href"]);
      expect(links).toEqual(ids);
    });

    it("draws within its pictures", () => {
      const numbers = ["rect", "line", "circle", "text"]
        .flatMap((tag) => findAll(page, tag))
        .flatMap(({ attributes }) =>
          ["x", "x1", "x2", "cx", "width", "y", "y1", "y2", "cy", "height"].flatMap((key) => attributes[key] ?? []),
        );
      for (const number of numbers) {
        expect(number).toMatch(/^-?\d+(\.\d+)?%?$/);
        if (number.endsWith("%")) expect(Number(number.slice(0, -1))).toBeLessThanOrEqual(100);
      }
    });

    it("gives the same bytes for the same data", () => {
      expect(renderReport(report)).toBe(text);
    });

    it("never says undefined, NaN or [object", () => {
      expect(textOf(findAll(page, "body")[0]!)).not.toMatch(/undefined|NaN(?! or infinite)|\[object/);
    });
  },
);

describe("a report of quantize", () => {
  const page = parseStrictHtml(renderReport(REPORTS[0]!));
  const words = textOf(findAll(page, "body")[0]!).replace(/\s+/g, " ");

  it("starts with the verdict and keeps the three kinds of proof apart", () => {
    const lead = textOf(findAll(page, "header")[0]!).replace(/\s+/g, " ");
    expect(lead).toContain("✗ Not OK");
    expect(lead).toContain("0.29× the bytes (10.8 MB → 3.15 MB)");
    expect(lead).toContain("node-cpu: 2.01× faster, agrees with the original (proven)");
    expect(lead).toContain("web-wasm: slower, 0.83× the speed, agrees with the original (smoke-tested)");
    expect(lead).toContain("openvino: not run here, its rules are broken in 1 place");
    expect(lead).toContain(`openvino: ${SHOWN}: scales must be constants`);
    expect(lead).toContain("Judged on 100 of your samples");
    expect(lead).toContain("4 generated inputs. What it answers to yours is not known.");
  });

  it("has everything that was found", () => {
    expect(sectionsOf(REPORTS[0]!)).toEqual([
      "Accuracy",
      "Size",
      "Latency",
      "Error by layer",
      "Sensitivity",
      "Worst values and their ranges",
      "What was done and what was declined",
      "Saturation",
      "Conditions and command",
    ]);
    for (const part of [
      "98.0 % → 97.0 %",
      "gzip",
      "2.01× faster (1.95–2.08)",
      "Clipped to −0.5 … 6.5 (uint8, scale 0.0274, zero point 18): 1.2 % lie outside. 1,234,567 elements",
      "its weight has 100–119 elements, fewer than 2048",
      "2 of 12 8-bit products could saturate",
      "1 of 2 would; 1 got weights of a reduced range",
      "static-int8 was taken because it is the smaller one",
      "30 values inside both models, compared on 4 samples. 3 have no counterpart",
    ])
      expect(words).toContain(part);
  });

  it("says what it was measured on and with, and how to do it again", () => {
    for (const part of [
      "Some & Processor, 4 cores usable",
      "VNNIno",
      "linux x64, Node 20.20.2",
      "onnxruntime-node 1.30.0",
      "onnxruntime-web 1.30.0",
      "threads1",
      "browserChromium 150 (headless), cross-origin isolated",
      "GPUgoogle swiftshader, in software",
      "timed on a software adapter",
      "18 of 193 → 0 of 175 nodes",
      "static-int8: { extra: { session: { disable_quant_qdq: '1' } } }",
      "x [1, 3, 48, 192]",
      "tersor quantize 'a b.onnx' --seed 0",
      "Tersor0.0.0",
    ])
      expect(words).toContain(part);
  });

  it("shows names as they are, and nothing more", () => {
    expect(findAll(page, "bdi").some((element) => textOf(element) === SHOWN)).toBe(true);
    expect(renderReport(REPORTS[0]!)).not.toContain("<script");
  });

  it("leaves out what there is no data for", () => {
    const { details: _details, sensitivity: _sensitivity, saturation: _saturation, ...rest } = quantizeData;
    const result = { ...rest.result, targets: [], drops: [], reason: undefined, report: { changed: 1 } };
    const bare: Report = { kind: "quantize", ...rest, result };
    expect(sectionsOf(bare)).toEqual(["Size", "What was done and what was declined", "Conditions and command"]);
    expect(renderReport(bare)).toContain("○ Not checked");
  });
});

describe("a report of a training", () => {
  const report: Report = { kind: "verify", ...verifyData, training };

  it("shows its loss and what validation measured, and where layers stop to learn alone", () => {
    expect(sectionsOf(report)[0]).toBe("Training");
    const page = parseStrictHtml(renderReport(report));
    const titles = findAll(page, "svg").map((picture) => textOf(picture));
    expect(titles.slice(0, 2)).toEqual(["Loss over 30 steps, from 0.2 to 0.0333", "top-1 of validation over 30 steps"]);
    expect(textOf(page)).toContain("Left of the dashed line, all updates teach each layer alone");
    // Two points of the loss on each side of the border, three validations in both pictures: a line less than points.
    const lines = findAll(page, "line").filter(({ attributes }) => attributes["class"]?.startsWith("curve-"));
    expect(lines).toHaveLength(1 + 1 + 2 + 2);
    expect(sectionsOf({ ...report, training: { ...training, curve: [] } })).not.toContain("Training");
  });
});

describe("saturation", () => {
  const saturation = { products: 12, canSaturate: ["a"] };
  const words = (targets: readonly TargetMeasurement[]): string =>
    textOf(parseStrictHtml(renderReport({ kind: "verify", ...verifyData, machine, targets, saturation })));

  it("is said to show only where a target computes like that", () => {
    expect(words([proven])).toContain("this is one, so what was measured includes that.");
    expect(words([smokeTested])).toContain("none of the targets that were measured computes like that.");
  });
});

describe("a report of doctor", () => {
  it("has sections for each family, and says of each file what was found", () => {
    const report: Report = { kind: "doctor", ...doctorData };
    expect(sectionsOf(report)).toContain("Files: model.onnx");
    const words = textOf(parseStrictHtml(renderReport(report)));
    expect(words).toContain("✗ Some files cannot be used");
    expect(words).toContain("✗ cannot be used: does not load: bad <bytes> (node-cpu)");
    expect(words).toContain(`! usable, but larger than it should be: ${SHOWN}`);
    expect(sectionsOf({ ...report, groups: [doctorGroup] })).toEqual([
      "Files",
      "Accuracy",
      "Size",
      "Latency",
      "Conditions and command",
    ]);
  });
});

describe("a report of compress", () => {
  it("names the file of each target, and all that was tried", () => {
    const words = textOf(parseStrictHtml(renderReport({ kind: "compress", ...compressData }))).replace(/\s+/g, " ");
    for (const part of [
      "Allowed loss: 1pt of agreement with the original, for there are no labels.",
      "node-cpu: 2.01× faster, agrees with the original (proven), 0.29× the bytes (10.8 MB → 3.15 MB): model.node-cpu.onnx.",
      "2 candidates tried in 312 s of 600",
      "✓ taken for node-cpu",
      "is too low to be measured further",
    ])
      expect(words).toContain(part);
  });
});

describe("shellCommand", () => {
  it("quotes what a shell would take apart", () => {
    expect(shellCommand(["tersor", "a b.onnx", "it's", "$HOME", "--shape", "x=1,3", ""])).toBe(
      `tersor 'a b.onnx' 'it'\\''s' '$HOME' --shape x=1,3 ''`,
    );
  });
});

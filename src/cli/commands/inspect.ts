/**
 * @file `tersor inspect`: what is in a model.
 */
import { type Command, Option } from "commander";
import { type Inspection, inspectModel } from "../../analyze/inspect.ts";
import { SENSITIVITY_MODES, type SensitivityMode } from "../../analyze/sensitivity.ts";
import type { ModelZeros } from "../../analyze/zeros.ts";
import type { MetricSpec } from "../../measure/meter.ts";
import { nameFile } from "../../onnx/file-node.ts";
import { cleanUp } from "../../passes/clean-up.ts";
import { openModel } from "../../recipe/open.ts";
import { schemeOf, sensitivityOfFile } from "../../recipe/sensitivity-file.ts";
import { SCHEME_NAMES } from "../../recipe/steps.ts";
import { createAnyRuntime } from "../../runtime/create-node.ts";
import { formatBytes, formatCount } from "../../util/format.ts";
import {
  addLoadFlags,
  addMetricFlags,
  type LoadFlags,
  loadSpec,
  type MetricFlags,
  parseCount,
  parseDuration,
  parseNumber,
  parseShape,
} from "../flags.ts";
import { createProgress, print, printJson } from "../output.ts";
import { paragraph, plain, renderTable, shorten, WIDTH } from "../render/table.ts";
import { renderSensitivity } from "../render/tensors.ts";

interface Flags extends MetricFlags, LoadFlags {
  readonly tensors: number;
  readonly allowExternalOutside?: boolean;
  readonly json?: boolean;
  readonly sensitivity?: SensitivityMode;
  readonly scheme?: string;
  readonly samples?: number;
  readonly time?: number;
  readonly shape?: Readonly<Record<string, readonly number[]>>;
}

export function addInspect(program: Command, signal: AbortSignal): void {
  const command = program
    .command("inspect")
    .summary("show what is in a model and what each scheme could do with it")
    .description("Shows inputs, operators, the largest tensors, and what can be quantized and what not, and why.")
    .argument("<model>", "an .onnx file")
    .option("--tensors <number>", "how many of the largest tensors to list", parseCount, 10)
    .option("--allow-external-outside", "read external data outside of the model's folder")
    .option("--json", "print one JSON document on standard output, with all tensors")
    .addOption(
      new Option("--sensitivity [mode]", "rank the nodes by what quantizing each alone loses, or keeping it wins back")
        .choices([...SENSITIVITY_MODES])
        .preset("quantize-one"),
    )
    .option("--scheme <name>", `for --sensitivity: ${SCHEME_NAMES.join(", ")} (default: static-int8 with --data)`)
    .option("--data <path>", "for --sensitivity: samples, as for quantize; 'random' generates them")
    .option("--samples <number>", "for --sensitivity: samples to run and calibrate on (default: 16)", parseCount)
    .option("--time <duration>", "for --sensitivity: begin no further node after it (default: 5m)", parseDuration)
    .option("--shape <name=dims>", "shape of a generated input, such as x=1,3,224,224", parseShape)
    .option("--seed <number>", "seed of generated inputs and of shuffled samples (default: 0)", parseNumber);
  addLoadFlags(command);
  const metrics = addMetricFlags(command, { drop: false });
  command.action(async (path: string, flags: Flags) => {
    if (flags.sensitivity !== undefined) {
      await rankNodes(path, flags, metrics.spec(flags), signal);
      return;
    }
    const opened = openModel(path, { allowOutside: flags.allowExternalOutside });
    const cleaned = opened.model();
    const runtime = await createAnyRuntime().catch(() => undefined);
    await cleanUp(cleaned, { runtime }).catch((error) => Promise.reject(nameFile(error, path)));
    const inspection = inspectModel(opened.model(), cleaned);
    if (flags.json) printJson({ command: "inspect", path, byteLength: opened.byteLength, ...inspection });
    else print(render(path, opened.byteLength, inspection, flags.tensors));
  });
}

/** `--sensitivity`: every node costs a model that is made, loaded and run. */
async function rankNodes(path: string, flags: Flags, metric: MetricSpec, signal: AbortSignal): Promise<void> {
  const progress = createProgress();
  try {
    const { data, samples, time, shape, seed, allowExternalOutside } = flags;
    const found = await sensitivityOfFile(path, {
      scheme: schemeOf(flags.scheme ?? (data === undefined ? "dynamic-int8" : "static-int8")),
      mode: flags.sensitivity,
      data,
      load: loadSpec(flags),
      samples,
      budgetMs: time,
      shapes: shape,
      seed,
      metric,
      allowOutside: allowExternalOutside,
      progress: progress.update,
      signal,
    });
    progress.clear();
    if (flags.json) printJson({ command: "inspect", path, sensitivity: found });
    else
      print(
        `${shorten(plain(path), WIDTH - found.scheme.length - 3)}   ${found.scheme}\n\n${renderSensitivity(found)}`,
      );
  } finally {
    progress.clear();
  }
}

function render(path: string, byteLength: number, found: Inspection, limit: number): string {
  const opsets = Object.entries(found.opsets).map(([domain, version]) => `${domain} ${version}`);
  const facts = [
    `${formatCount(found.parameters)} parameters in ${formatBytes(found.parameterBytes)}`,
    `${formatCount(found.nodes - found.constantNodes)} nodes`,
    ...(found.constantNodes > 0 ? [`${formatCount(found.constantNodes)} Constant nodes`] : []),
    ...(found.subgraphs > 0 ? [`${found.subgraphs} subgraphs`] : []),
    ...(found.functions > 0 ? [`${found.functions} functions`] : []),
    `opset ${opsets.join(", ")}`,
    `IR ${found.irVersion ?? "?"}`,
    ...(found.producer ? [`by ${found.producer}`] : []),
  ];
  const bytes = formatBytes(byteLength);
  const blocks = [
    `${shorten(plain(path), WIDTH - bytes.length - 3)}   ${bytes}`,
    ...paragraph(facts.join(" · "), WIDTH, "  "),
    "",
    renderTable(
      [{ title: "" }, { title: "name", max: 60 }, { title: "type", max: 12 }, { title: "shape", max: 60 }],
      [
        ...found.inputs.map((port) => ["in", port.name, port.dtype, port.shape]),
        ...found.outputs.map((port) => ["out", port.name, port.dtype, port.shape]),
      ],
      WIDTH,
    ),
    "",
    renderTable(
      [
        { title: "operator", max: 60 },
        { title: "nodes", align: "right" },
        { title: "weights", align: "right" },
      ],
      found.ops
        .slice(0, 14)
        .map((entry) => [entry.op, String(entry.count), entry.weightBytes > 0 ? formatBytes(entry.weightBytes) : ""]),
      WIDTH,
    ),
    ...(found.ops.length > 14 ? [`  … and ${found.ops.length - 14} other operators`] : []),
  ];
  const tensors = found.tensors.slice(0, limit);
  if (tensors.length > 0) blocks.push("", renderTensors(tensors));
  const pruned = renderPruned(found.zeros);
  if (pruned !== "") blocks.push("", pruned);
  blocks.push("", "  What the schemes would do:");
  const say = (text: string): void => {
    blocks.push(...paragraph(text, WIDTH, "    "));
  };
  if (found.quantizedBy !== undefined) say(`It is quantized already: ${found.quantizedBy}. Give the original.`);
  else {
    const { eligible, declined } = found.integer;
    say(
      `dynamic-int8, static-int8: ${eligible} node${eligible === 1 ? "" : "s"} could be computed in 8 bits (a target's speed may speak against some).`,
    );
    for (const { count, opType, reason } of declined) say(`  not ${count} ${opType}: ${reason}`);
    say("weight-int8: stores the weights in 8 bits, computes in float.");
  }
  return blocks.join("\n");
}

/** Masked weights that are listed. */
const SHOWN_MASKS = 10;

/** Masks, and zeros as far as they are more than chance. */
function renderPruned({ weights, elements, sparsity, pattern, channels, emptyChannels }: ModelZeros): string {
  const masked = weights.filter((weight) => weight.masked);
  if (masked.length === 0 && sparsity < LEAST_ZEROS) return "";
  const empty = emptyChannels > 0 ? `; ${emptyChannels} of ${channels} output channels are empty` : "";
  const zero = `${(100 * sparsity).toFixed(1)} % of ${formatCount(elements)} weights are zero (${pattern ?? "none"})${empty}.`;
  if (masked.length === 0) return paragraph(`Pruned: ${zero}`, WIDTH, "  ").join("\n");
  const masks = `${masked.length} ${masked.length === 1 ? "weight has a mask" : "weights have masks"}: tersor prune --undo takes them away.`;
  const rows = masked
    .slice(0, SHOWN_MASKS)
    .map(({ name, opType, elements: size, zeros }) => [
      name,
      opType,
      formatCount(size - zeros),
      `${((100 * zeros) / size).toFixed(1)} %`,
    ]);
  const columns = [
    { title: "masked", max: 40 },
    { title: "of", max: 16 },
    { title: "left", align: "right" },
    { title: "zeros", align: "right" },
  ] as const;
  const more = masked.length - rows.length;
  return [
    ...paragraph(`Pruned: ${zero} ${masks}`, WIDTH, "  "),
    renderTable(columns, rows, WIDTH),
    ...(more > 0 ? [`  … and ${more} more`] : []),
  ].join("\n");
}

/** Share of zeros from which on they are told of where there are no masks. */
const LEAST_ZEROS = 0.01;

function renderTensors(tensors: Inspection["tensors"]): string {
  return renderTable(
    [
      { title: "largest tensors", max: 40 },
      { title: "type", max: 8 },
      { title: "shape", max: 24 },
      { title: "bytes", align: "right" },
      { title: "zeros", align: "right" },
      { title: "used by", max: 16 },
    ],
    tensors.map((tensor) => [
      tensor.name,
      tensor.dtype,
      `[${tensor.dims.join(",")}]`,
      formatBytes(tensor.byteLength),
      tensor.sparsity === undefined ? "" : `${(100 * tensor.sparsity).toFixed(0)} %`,
      [...new Set(tensor.users)].join(","),
    ]),
    WIDTH,
  );
}

/**
 * @file The losses of fine-tuning: the one that was asked for, or the one that fits the data; distillation by what each of
 * the model's outputs is.
 */
import type { z } from "zod";
import type { Model } from "../graph/model.ts";
import type { Value } from "../graph/value.ts";
import { looksLikeClasses } from "../measure/metrics/classification.ts";
import type { MetricOptions } from "../measure/metrics/options.ts";
import type { Tensors } from "../runtime/runtime.ts";
import type { Sample } from "../step/data.ts";
import { isFloatingPoint } from "../tensor/tensor.ts";
import type { lossOptions } from "../train/losses/losses.ts";
import { InputError } from "../util/errors.ts";
import type { FINETUNE_LOSSES, FinetuneOptions } from "./finetune-options.ts";

export type LossInput = z.input<typeof lossOptions>;
export type FinetuneLoss = (typeof FINETUNE_LOSSES)[number];

/**
 * The loss by the first sample: cross-entropy of labels that are classes, distillation where there are none.
 * @throws InputError for labels of another kind: only the user knows what they are compared with.
 */
export function chooseLoss(sample: Sample, outputs: Tensors, options: MetricOptions): FinetuneLoss {
  if (sample.label === undefined) return "distill";
  if (looksLikeClasses(outputs, sample.label, options)) return "cross-entropy";
  throw new InputError({
    area: "finetune",
    subject: "labels",
    problem: "expected classes, from which the loss follows, got labels of another kind",
    help: "Say with --loss what is minimized: mse or l1 of numbers, ctc of texts, or distill without labels.",
  });
}

/** @param metric Options of metrics that losses share: labels that are ignored, the blank. */
export function lossesOf(
  loss: FinetuneLoss,
  model: Model,
  { lossOutput, labelSmoothing, temperature, hidden }: FinetuneOptions,
  { ignoreLabel, ctcBlank, ctcKeys }: Pick<MetricOptions, "ignoreLabel" | "ctcBlank" | "ctcKeys">,
): LossInput[] {
  const output = lossOutput ?? onlyFloat(model)?.name;
  const common = output === undefined ? {} : { output };
  const ignore = ignoreLabel === undefined ? {} : { ignoreIndex: ignoreLabel };
  switch (loss) {
    case "distill":
      return [
        ...floats(model)
          .filter(({ name }) => lossOutput === undefined || name === lossOutput)
          .map((value, _i, all) => distil(value, temperature, 1 / all.length)),
        ...hidden.map(
          (name): LossInput => ({ kind: "mse", name: `hidden ${name}`, output: name, target: `teacher:${name}` }),
        ),
      ];
    case "cross-entropy":
      return [{ kind: loss, ...common, ...ignore, labelSmoothing }];
    case "nll":
      return [{ kind: loss, ...common, ...ignore }];
    case "ctc":
      return [{ kind: loss, ...common, blank: ctcBlank, ...(ctcKeys && { keys: [...ctcKeys] }) }];
    default:
      return [{ kind: loss, ...common }];
  }
}

const floats = (model: Model): Value[] =>
  model.graph.outputs.filter(({ dtype }) => dtype === undefined || isFloatingPoint(dtype));

function onlyFloat(model: Model): Value | undefined {
  const [first, ...others] = floats(model);
  return others.length === 0 ? first : undefined;
}

/** Probabilities by their divergence, maps of probabilities by their cross-entropy, everything else by its squares. */
function distil(value: Value, temperature: number, weight: number): LossInput {
  let node = value.producer;
  while (node?.is("Identity")) node = node.input(0).producer;
  const common = { name: value.name, output: value.name, target: `teacher:${value.name}`, weight };
  if (node?.is("Softmax") || node?.is("LogSoftmax")) {
    const axis = node.int("axis", -1);
    return {
      kind: "distillation",
      ...common,
      axis,
      temperature,
      teacher: node.is("Softmax") ? "probabilities" : "logits",
    };
  }
  return node?.is("Sigmoid") ? { kind: "bce", ...common } : { kind: "mse", ...common };
}

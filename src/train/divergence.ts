/**
 * @file Notices a training that goes wrong: a loss that is no number, or that stays far above what it was.
 *
 * With the running average a ← 0.95 · a + 0.05 · loss, its best value a*, and the first loss l₀, a loss is too high above
 *
 *   factor · max(a*, l₀ / 10)
 *
 * the tenth because the noise of a loss that has become small is no sign of anything. So many such losses in a row, or one
 * that is not finite, end the training. Losses that can be negative are only asked to be finite.
 */
import { TersorError } from "../util/errors.ts";

const DECAY = 0.95;
const SMALL = 0.1;

/** Training that was stopped because it leads nowhere. */
export class DivergenceError extends TersorError {
  readonly step: number;
  readonly loss: number;
  /** The last checkpoint that was written before. */
  readonly checkpoint: string | undefined;

  constructor(step: number, loss: number, problem: string, checkpoint: string | undefined) {
    super("DIVERGENCE", {
      area: "train",
      subject: `step ${step}`,
      problem,
      help: `${checkpoint === undefined ? "No checkpoint was written before." : `The last good checkpoint is ${checkpoint}.`} Try a smaller learning rate, a warm-up, or a limit on the gradients' norm.`,
    });
    this.step = step;
    this.loss = loss;
    this.checkpoint = checkpoint;
  }
}

/** Plain data: part of a checkpoint. */
export interface LossHistory {
  readonly first: number;
  readonly average: number;
  readonly best: number;
  readonly tooHigh: number;
}

export interface LossWatch {
  readonly history: LossHistory | undefined;
  /** What is wrong after this loss; undefined where nothing is. */
  add(loss: number): string | undefined;
}

export function watchLoss(
  options: { readonly factor: number; readonly steps: number },
  history?: LossHistory,
): LossWatch {
  let now = history;
  return {
    get history() {
      return now;
    },
    add(loss) {
      if (!Number.isFinite(loss)) return `expected a loss that is a number, got ${loss}`;
      const average = now === undefined ? loss : DECAY * now.average + (1 - DECAY) * loss;
      const first = now?.first ?? loss;
      const best = Math.min(now?.best ?? average, average);
      const limit = options.factor * Math.max(best, SMALL * first);
      const tooHigh = first > 0 && loss > limit ? (now?.tooHigh ?? 0) + 1 : 0;
      now = { first, average, best, tooHigh };
      if (tooHigh < options.steps) return undefined;
      return `expected a loss that falls, got ${loss.toPrecision(4)}, and ${tooHigh} in a row above ${options.factor} times the best running average (${best.toPrecision(4)}) or a tenth of the first (${first.toPrecision(4)})`;
    },
  };
}

/**
 * @file The course of the loss, short enough for a picture and for a checkpoint: means over stretches of updates, which grow
 * as the training does.
 */

export interface CurvePoint {
  /** The last update of the stretch, from 1. */
  readonly step: number;
  /** Updates of the stretch. */
  readonly count: number;
  /** Mean over the stretch. */
  readonly loss: number;
  /** Layer by layer: another loss than the whole's. */
  readonly layers: boolean;
}

/** Plain data: part of a checkpoint. */
export interface CurveHistory {
  /** Updates of a stretch. */
  readonly stride: number;
  readonly points: readonly CurvePoint[];
  /** The stretch that is not full yet. */
  readonly sum: number;
  readonly count: number;
  readonly layers: boolean;
}

/** Points beyond which two become one. */
const MOST = 256;

export class LossCurve {
  #history: CurveHistory;

  constructor(history: CurveHistory = { stride: 1, points: [], sum: 0, count: 0, layers: false }) {
    this.#history = history;
  }

  get history(): CurveHistory {
    return this.#history;
  }

  add(step: number, loss: number, layers: boolean): void {
    let { stride, points, sum, count } = this.#history;
    // A stretch has one kind of loss: the first update of the whole ends the last one of the layers.
    if (count > 0 && this.#history.layers !== layers) {
      points = [...points, { step: step - 1, count, loss: sum / count, layers: !layers }];
      [sum, count] = [0, 0];
    }
    [sum, count] = [sum + loss, count + 1];
    if (count >= stride) {
      points = [...points, { step, count, loss: sum / count, layers }];
      [sum, count] = [0, 0];
    }
    if (points.length > MOST) {
      points = halve(points);
      stride *= 2;
    }
    this.#history = { stride, points, sum, count, layers };
  }

  /** All stretches, the last one too. @param step Updates so far. */
  points(step: number): readonly CurvePoint[] {
    const { points, sum, count, layers } = this.#history;
    return count === 0 ? points : [...points, { step, count, loss: sum / count, layers }];
  }
}

/** Two neighbours of one kind become one. */
function halve(points: readonly CurvePoint[]): CurvePoint[] {
  const merged: CurvePoint[] = [];
  for (let i = 0; i < points.length; i++) {
    const [a, b] = [points[i]!, points[i + 1]];
    if (b === undefined || a.layers !== b.layers) merged.push(a);
    else {
      const count = a.count + b.count;
      merged.push({ step: b.step, count, loss: (a.count * a.loss + b.count * b.loss) / count, layers: a.layers });
      i++;
    }
  }
  return merged;
}

/**
 * @file The curve of a training: the loss of each step and its running average, and the validations, on a canvas.
 */

/** Of the running average; as the trainer's. */
const DECAY = 0.95;

const LEFT = 44;
const RIGHT = 48;
const TOP = 8;
const BOTTOM = 24;

export interface Chart {
  /** Begins anew; after an interruption, from the step on which it goes on. */
  start(totalSteps: number, from?: number): void;
  addLoss(step: number, loss: number): void;
  /** A share of 0 … 1. */
  addValue(step: number, value: number): void;
  /** The running average. */
  readonly average: number | undefined;
}

interface Point {
  readonly step: number;
  readonly y: number;
}

export function createChart(canvas: HTMLCanvasElement): Chart {
  const context = canvas.getContext("2d")!;
  let total = 1;
  let losses: Point[] = [];
  let averages: Point[] = [];
  let values: Point[] = [];
  let weight = 0;
  let sum = 0;
  let asked = false;

  const draw = (): void => {
    asked = false;
    const { clientWidth, clientHeight } = canvas;
    if (clientWidth === 0) return;
    const scale = devicePixelRatio;
    canvas.width = Math.round(clientWidth * scale);
    canvas.height = Math.round(clientHeight * scale);
    context.setTransform(scale, 0, 0, scale, 0, 0);
    const style = getComputedStyle(canvas);
    const color = (name: string): string => style.getPropertyValue(`--${name}`);
    context.font = `12px ${style.fontFamily}`;
    const [width, height] = [clientWidth - LEFT - RIGHT, clientHeight - TOP - BOTTOM];
    const top = niceTop(Math.max(0.001, ...averages.map(({ y }) => y)) * 1.05);
    const x = (step: number): number => LEFT + (width * step) / total;
    const y = (share: number): number => TOP + height * (1 - Math.min(Math.max(share, 0), 1));
    context.lineWidth = 1;
    for (const share of [0, 0.25, 0.5, 0.75, 1]) {
      context.strokeStyle = color("line");
      line(context, [LEFT, y(share)], [LEFT + width, y(share)]);
      context.fillStyle = color("quiet");
      context.textBaseline = "middle";
      context.textAlign = "right";
      if (losses.length > 0) context.fillText(tick(share * top), LEFT - 8, y(share));
      context.textAlign = "left";
      if (values.length > 0) context.fillText(`${100 * share} %`, LEFT + width + 8, y(share));
    }
    context.textBaseline = "alphabetic";
    if (losses.length > 0) {
      context.fillText("0", LEFT, clientHeight - 6);
      context.textAlign = "right";
      context.fillText(`step ${total.toLocaleString("en")}`, LEFT + width, clientHeight - 6);
    }
    context.save();
    context.beginPath();
    context.rect(LEFT, TOP - 4, width + 1, height + 8);
    context.clip();
    curve(losses, top, color("faint"), 1);
    curve(averages, top, color("loss"), 2);
    curve(values, 1, color("value"), 2);
    context.restore();
    context.fillStyle = color("value");
    for (const { step, y: value } of values.filter((point) => point.step <= total)) {
      context.beginPath();
      context.arc(x(step), y(value), 3.5, 0, 2 * Math.PI);
      context.fill();
    }

    function curve(points: readonly Point[], most: number, stroke: string, thickness: number): void {
      context.strokeStyle = stroke;
      context.lineWidth = thickness;
      context.lineJoin = "round";
      context.beginPath();
      for (const point of points) context.lineTo(x(point.step), y(point.y / most));
      context.stroke();
    }
  };
  const ask = (): void => {
    if (asked) return;
    asked = true;
    requestAnimationFrame(draw);
  };
  new ResizeObserver(ask).observe(canvas);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", ask);
  return {
    start(totalSteps, from = 0) {
      const before = ({ step }: Point): boolean => from > 0 && step <= from;
      total = Math.max(1, totalSteps);
      [losses, averages, values] = [losses, averages, values].map((points) => points.filter(before)) as [
        Point[],
        Point[],
        Point[],
      ];
      if (averages.length === 0) [weight, sum] = [0, 0];
      ask();
    },
    addLoss(step, loss) {
      sum = DECAY * sum + (1 - DECAY) * loss;
      weight = DECAY * weight + (1 - DECAY);
      losses.push({ step, y: loss });
      averages.push({ step, y: sum / weight });
      ask();
    },
    addValue(step, value) {
      values = [...values.filter((point) => point.step !== step), { step, y: value }];
      ask();
    },
    get average() {
      return averages.at(-1)?.y;
    },
  };
}

function line(context: CanvasRenderingContext2D, from: readonly [number, number], to: readonly [number, number]): void {
  context.beginPath();
  context.moveTo(...from);
  context.lineTo(...to);
  context.stroke();
}

/** The next of a few numbers times a power of ten whose quarters are short. */
function niceTop(value: number): number {
  const power = 10 ** Math.floor(Math.log10(value));
  return power * ([1, 1.2, 1.6, 2, 2.4, 3, 4, 6, 8, 10].find((step) => step * power >= value) ?? 10);
}

const tick = (value: number): string => String(Number(value.toPrecision(3)));

/** @file Pieces of images: nets that look at images of any size learn as much from small ones, in less time and memory. */
import type { Sample } from "../../src/step/data.ts";
import { Tensor } from "../../src/tensor/tensor.ts";
import { createRandom } from "../../src/util/random.ts";
import type { Task } from "../tasks/task.ts";

/**
 * Seeded pieces of a task's images [1, C, H, W], all of one size; what is narrower or lower is filled up with 0.
 * @param each pieces of each image.
 */
export function* crops(task: Task, count: number, height: number, width: number, each: number): Generator<Sample> {
  const random = createRandom(9);
  for (let index = 0; index < count; index++) {
    const { inputs } = task.sample("calibration", index);
    for (let piece = 0; piece < each; piece++) {
      yield {
        inputs: Object.fromEntries(
          Object.entries(inputs).map(([name, image]) => {
            const [, , h, w] = image.dims as [number, number, number, number];
            const top = random.integer(Math.max(h - height, 0) + 1);
            const left = random.integer(Math.max(w - width, 0) + 1);
            return [name, crop(image, top, left, height, width)];
          }),
        ),
      };
    }
  }
}

function crop(image: Tensor, top: number, left: number, height: number, width: number): Tensor {
  const [, channels, h, w] = image.dims as [number, number, number, number];
  const pixels = image.floats();
  const out = new Float32Array(channels * height * width);
  const [rows, used] = [Math.min(h, height), Math.min(w, width)];
  for (let c = 0; c < channels; c++) {
    for (let y = 0; y < rows; y++) {
      const from = (c * h + top + y) * w + left;
      out.set(pixels.subarray(from, from + used), (c * height + y) * width);
    }
  }
  return Tensor.float32([1, channels, height, width], out);
}

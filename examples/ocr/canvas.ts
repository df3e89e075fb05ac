/**
 * @file The canvas with our fonts and no others.
 * Import the canvas from here: the package loads the system's fonts when it is imported unless told not to before,
 * and a text drawn with whatever the machine has would not be the same benchmark everywhere.
 */

import { fonts } from "./assets.ts";

process.env["DISABLE_SYSTEM_FONTS_LOAD"] = "1";
const { createCanvas, GlobalFonts, loadImage } = await import("@napi-rs/canvas");

if (!GlobalFonts.has(fonts[0]!.family)) {
  const present = GlobalFonts.families.length;
  if (present > 0) {
    throw new Error(
      `demo: canvas: expected no fonts before ours, found ${present} families. Import @napi-rs/canvas through canvas.ts only.`,
    );
  }
  for (const { family, path } of fonts) {
    if (!GlobalFonts.registerFromPath(path, family)) {
      throw new Error(`demo: ${path}: expected a TrueType font, could not read it. Run npm ci in the repository.`);
    }
  }
}

/** The families that the canvas can draw with: ours and their files' own names. */
export const fontFamilies = (): string[] => GlobalFonts.families.map(({ family }) => family);

export { createCanvas, loadImage };

/** @file Tests of find.ts on made-up machines. */
import { describe, expect, it } from "vitest";
import { InputError, UnsupportedError } from "../../util/errors.ts";
import { findBrowser, type Places } from "./find.ts";

const machine = (platform: NodeJS.Platform, files: string[], env: Record<string, string> = {}): Places => ({
  platform,
  env,
  isFile: (path) => files.includes(path),
});

describe("findBrowser", () => {
  it.each<[string, Places, string]>([
    [
      "Linux, in the order of preference rather than of PATH",
      machine("linux", ["/a/chromium", "/b/google-chrome"], { PATH: "/a:/b" }),
      "/b/google-chrome",
    ],
    ["a snap", machine("linux", ["/snap/bin/chromium"], { PATH: "/usr/bin" }), "/snap/bin/chromium"],
    [
      "macOS, in the user's own folder",
      machine("darwin", ["/Users/me/Applications/Chromium.app/Contents/MacOS/Chromium"], { HOME: "/Users/me" }),
      "/Users/me/Applications/Chromium.app/Contents/MacOS/Chromium",
    ],
    [
      "Windows, where Edge always is",
      machine("win32", ["C:\\P86\\Microsoft\\Edge\\Application\\msedge.exe"], { "PROGRAMFILES(X86)": "C:\\P86" }),
      "C:\\P86\\Microsoft\\Edge\\Application\\msedge.exe",
    ],
    ["CHROME_PATH before all", machine("linux", ["/a/chromium", "/x"], { PATH: "/a", CHROME_PATH: "/x" }), "/x"],
  ])("%s", (_what, places, expected) => {
    expect(findBrowser(undefined, places)).toBe(expected);
    expect(findBrowser("auto", places)).toBe(expected);
  });

  it("takes the given one, and refuses one that is not there", () => {
    const places = machine("linux", ["/a/chromium", "/x"], { PATH: "/a" });
    expect(findBrowser("/x", places)).toBe("/x");
    expect(() => findBrowser("/y", places)).toThrow(InputError);
    expect(() => findBrowser(undefined, { ...places, env: { CHROME_PATH: "/y" } })).toThrow(/what CHROME_PATH says/);
  });

  it("says what to do where there is none", () => {
    const places = machine("linux", [], { PATH: "/usr/bin" });
    expect(() => findBrowser(undefined, places)).toThrow(UnsupportedError);
    expect(() => findBrowser(undefined, places)).toThrow(/no Chrome, Chromium or Edge found\. .*--browser PATH/);
  });
});

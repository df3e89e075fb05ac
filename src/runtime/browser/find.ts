/**
 * @file Finds a Chrome, Chromium or Edge on this machine, where its installers put it.
 */
import { accessSync, constants, statSync } from "node:fs";
import { delimiter, join } from "node:path";
import { InputError, UnsupportedError } from "../../util/errors.ts";

/** Commands, in the order of preference: Google's own has the most codecs and GPU drivers. */
const COMMANDS = [
  "google-chrome",
  "google-chrome-stable",
  "chrome",
  "chromium",
  "chromium-browser",
  "microsoft-edge",
  "microsoft-edge-stable",
] as const;

const LINUX = ["/opt/google/chrome/chrome", "/snap/bin/chromium", "/opt/microsoft/msedge/msedge"] as const;

const MAC = ["Google Chrome", "Chromium", "Microsoft Edge", "Google Chrome Canary"] as const;

const WINDOWS = [
  "Google\\Chrome\\Application\\chrome.exe",
  "Chromium\\Application\\chrome.exe",
  "Microsoft\\Edge\\Application\\msedge.exe",
] as const;

export interface Places {
  readonly platform: NodeJS.Platform;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly isFile: (path: string) => boolean;
}

const HERE: Places = { platform: process.platform, env: process.env, isFile: isExecutable };

/**
 * The path of a browser.
 * @param given its path, or "auto" or undefined to search: the environment's CHROME_PATH first, then the usual places.
 * @throws InputError where the given one (or CHROME_PATH) is no program; UnsupportedError where none is found.
 */
export function findBrowser(given?: string, places: Places = HERE): string {
  const { env, isFile } = places;
  const asked = given === undefined || given === "auto" ? env["CHROME_PATH"] : given;
  if (asked !== undefined && asked !== "") {
    if (isFile(asked)) return asked;
    const problem = "expected the program of a Chrome, Chromium or Edge, found none there";
    const help = asked === given ? "--browser auto searches the usual places." : "That is what CHROME_PATH says.";
    throw new InputError({ area: "browser", subject: asked, problem, help });
  }
  const found = usualPlaces(places).find(isFile);
  if (found !== undefined) return found;
  throw new UnsupportedError({
    area: "browser",
    subject: places.platform,
    problem: "no Chrome, Chromium or Edge found",
    help: "Give its program with --browser PATH or CHROME_PATH; verify --serve takes any device's browser.",
  });
}

/** Every path that is tried, in order. */
export function usualPlaces({ platform, env }: Pick<Places, "platform" | "env">): string[] {
  const home = env["HOME"];
  if (platform === "win32") {
    const roots = ["PROGRAMFILES", "PROGRAMFILES(X86)", "LOCALAPPDATA"].map((name) => env[name]);
    return roots.flatMap((root) => (root === undefined ? [] : WINDOWS.map((path) => `${root}\\${path}`)));
  }
  if (platform === "darwin") {
    const roots = ["/Applications", ...(home ? [`${home}/Applications`] : [])];
    return roots.flatMap((root) => MAC.map((name) => `${root}/${name}.app/Contents/MacOS/${name}`));
  }
  const folders = (env["PATH"] ?? "").split(delimiter).filter((folder) => folder !== "");
  return [...COMMANDS.flatMap((command) => folders.map((folder) => join(folder, command))), ...LINUX];
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, process.platform === "win32" ? constants.F_OK : constants.X_OK);
    return statSync(path).isFile();
  } catch {
    return false;
  }
}

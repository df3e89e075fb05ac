/**
 * @file Text that is HTML. The tag `html` escapes whatever is put in, unless it is HTML already: names in a report come
 * from files that strangers wrote.
 */

/** Marked as HTML: only {@link html} and {@link raw} make it. */
export class Html {
  readonly #text: string;

  constructor(text: string) {
    this.#text = text;
  }

  toString(): string {
    return this.#text;
  }
}

/** What can stand in a template: undefined and false are nothing, lists are joined. */
export type Part = Html | string | number | undefined | false | readonly Part[];

/** Elements are closed as in XML (`<br />`), so that a strict parser reads every report. */
export function html(strings: TemplateStringsArray, ...parts: readonly Part[]): Html {
  return new Html(strings.map((text, index) => text + render(parts[index])).join(""));
}

/** HTML that is known to be some, such as a constant. */
export function raw(text: string): Html {
  return new Html(text);
}

function render(part: Part): string {
  if (part === undefined || part === false) return "";
  if (part instanceof Html) return part.toString();
  if (typeof part === "object") return part.map(render).join("");
  return escapeText(String(part));
}

const ENTITIES: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&#39;",
};

/**
 * What HTML has no place for: control characters but tab and line feed, halves of characters, U+FFFE and U+FFFF; and the
 * characters that turn the direction of the text that follows.
 */
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
const FORBIDDEN = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069\ufffe\uffff]|\p{Surrogate}/gu;

/** For text and for attributes in quotes. What is {@link FORBIDDEN} becomes a mark. */
export function escapeText(text: string): string {
  return text.replace(/[&<>"']/g, (character) => ENTITIES[character]!).replace(FORBIDDEN, "\ufffd");
}

/** A name from a file: set apart, so that right-to-left letters in it move nothing around it. */
export function name(text: string): Html {
  return html`<code><bdi>${text}</bdi></code>`;
}

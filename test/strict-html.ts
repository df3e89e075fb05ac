/**
 * @file A strict reader of the HTML that reports are made of: every element closed, attributes in quotes, nothing left
 * unescaped. What it reads, any parser reads in the same way.
 */

export interface Element {
  readonly tag: string;
  readonly attributes: Readonly<Record<string, string>>;
  readonly children: (Element | string)[];
}

const TAG = /^<(\/)?([a-zA-Z][\w-]*)((?:\s+[\w:-]+="[^"<]*")*)\s*(\/)?>/;
const TEXT = /^[^<]+/;
const ENTITY = /&(?!(?:amp|lt|gt|quot|#39);)/;
/** Elements of HTML that have no end. */
const VOID = new Set(["meta", "br", "link", "img", "input", "hr"]);
/** A parser of HTML passes over the `/` except in these, which are SVG's. */
const SHAPES = new Set(["rect", "line", "circle"]);

/** @throws Error for anything that is not well-formed. */
export function parseStrictHtml(text: string): Element {
  if (!text.startsWith("<!DOCTYPE html>\n")) throw new Error("expected a document type");
  const top: Element = { tag: "", attributes: {}, children: [] };
  const open = [top];
  const ids = new Set<string>();
  let rest = text.slice("<!DOCTYPE html>\n".length);
  const fail = (problem: string): never => {
    throw new Error(`${problem}, at: ${rest.slice(0, 80)}`);
  };
  while (rest !== "") {
    const inner = open.at(-1)!;
    const style = inner.tag === "style" ? rest.indexOf("</style>") : 0;
    const words = style > 0 ? [rest.slice(0, style)] : TEXT.exec(rest);
    if (words !== null) {
      if (inner.tag !== "style" && ENTITY.test(words[0]!)) fail("expected an escaped &");
      inner.children.push(decode(words[0]!));
      rest = rest.slice(words[0]!.length);
      continue;
    }
    const match = TAG.exec(rest) ?? fail("expected a tag");
    const [whole, closing, tag, list, alone] = match;
    rest = rest.slice(whole.length);
    if (closing) {
      if (inner.tag !== tag) fail(`expected </${inner.tag}>, got </${tag}>`);
      open.pop();
      continue;
    }
    const fits = VOID.has(tag!) ? alone !== undefined : alone === undefined || SHAPES.has(tag!);
    if (!fits) fail(`expected <${tag}> to be closed as its kind is`);
    const attributes = Object.fromEntries(
      [...list!.matchAll(/([\w:-]+)="([^"]*)"/g)].map(([, key, value]) => {
        if (ENTITY.test(value!)) fail("expected an escaped & in an attribute");
        return [key!, decode(value!)];
      }),
    );
    const { id } = attributes;
    if (id !== undefined && ids.has(id)) fail(`expected each id once, got "${id}" again`);
    if (id !== undefined) ids.add(id);
    const element: Element = { tag: tag!, attributes, children: [] };
    inner.children.push(element);
    if (!alone) open.push(element);
  }
  if (open.length > 1) fail(`expected </${open.at(-1)!.tag}>, got the end`);
  return top;
}

function decode(text: string): string {
  const characters: Record<string, string> = { lt: "<", gt: ">", quot: '"', "#39": "'", amp: "&" };
  return text.replace(/&([\w#]+);/g, (_all, name: string) => characters[name]!);
}

/** All elements of the tag, in order. */
export function findAll(element: Element, tag: string): Element[] {
  return element.children.flatMap((child) => {
    if (typeof child === "string") return [];
    return [...(child.tag === tag ? [child] : []), ...findAll(child, tag)];
  });
}

/** The text in it. */
export function textOf(element: Element): string {
  return element.children.map((child) => (typeof child === "string" ? child : textOf(child))).join("");
}

// Texts of files as a terminal may show them: on one line, nothing that moves the cursor, and no
// wider than there is room. Two texts are cut in the same place, where they differ.

import type { Paint } from './output.js';

// Control characters beyond those of JSON, and marks without width or that reorder what follows.
const hidden = /[\u007f-\u009f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]/g;
const wide =
  /[\u1100-\u115f\u2e80-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\u{1f300}-\u{1faff}\u{20000}-\u{3fffd}]/u;

const spelled = (character: string): string =>
  `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`;

/** A text in quotation marks, as JSON has it. */
export const quoted = (text: string): string => JSON.stringify(text).replace(hidden, spelled);

/** A sentence that may quote a file, as one line. */
export const plain = (text: string): string =>
  // eslint-disable-next-line no-control-regex
  text.replace(/[\u0000-\u001f]/g, ' ').replace(hidden, spelled);

const widthOf = (character: string): number => (wide.test(character) ? 2 : 1);
const widthOfAll = (characters: readonly string[]): number =>
  characters.reduce((sum, character) => sum + widthOf(character), 0);

/** How many characters two texts share from their beginning, or from their end. */
function sharedLength(a: readonly string[], b: readonly string[], most: number, end: 1 | -1) {
  const at = (list: readonly string[], place: number): string | undefined =>
    list.at(end === 1 ? place : -1 - place);
  let length = 0;
  while (length < most && at(a, length) === at(b, length)) length++;
  return length;
}

/** A character, and whether it is where two texts differ. */
interface Cell {
  readonly text: string;
  readonly differs: boolean;
}

/** The cells that there is room for from `start` on, and marks of what is left out. */
function cut(cells: readonly Cell[], start: number, room: number): Cell[] {
  const mark = { text: '…', differs: false };
  let [end, width] = [start, start > 0 ? 1 : 0];
  while (end < cells.length && width + widthOf(cells[end].text) <= room) {
    width += widthOf(cells[end++].text);
  }
  const isCut = end < cells.length;
  const kept = cells.slice(start, isCut ? Math.max(start, end - 1) : end);
  return [...(start > 0 ? [mark] : []), ...kept, ...(isCut ? [mark] : [])];
}

/** Cells in lines, broken after spaces where there are some. */
function inLines(cells: readonly Cell[], width: number): Cell[][] {
  const lines: Cell[][] = [];
  let line: Cell[] = [];
  let room = width;
  for (const cell of cells) {
    if (room < widthOf(cell.text)) {
      if (cell.text === ' ') {
        lines.push(line);
        [line, room] = [[], width];
        continue;
      }
      const space = line.findLastIndex(({ text }) => text === ' ');
      const kept = space < 0.7 * width ? line : line.slice(0, space + 1);
      lines.push(kept.at(-1)?.text === ' ' ? kept.slice(0, -1) : kept);
      line = line.slice(kept.length);
      room = width - line.reduce((sum, { text }) => sum + widthOf(text), 0);
    }
    line.push(cell);
    room -= widthOf(cell.text);
  }
  return [...lines, line];
}

/** A line with its differing stretches in bold. */
function painted(line: readonly Cell[], paint: Paint): string {
  let [out, run] = ['', ''];
  line.forEach(({ text, differs }, index) => {
    run += text;
    if (line.at(index + 1)?.differs === differs) return;
    out += differs ? paint('bold', run) : run;
    run = '';
  });
  return out;
}

const isLetter = (character: string | undefined): boolean =>
  character !== undefined && /[\p{L}\p{M}\p{N}]/u.test(character);

/** The cells of a text that differs in [from, to), or in the words that begin and end there. */
function cellsOf(characters: readonly string[], from: number, to: number): Cell[] {
  let [first, end] = [from, to];
  while (first > 0 && isLetter(characters[first - 1]) && isLetter(characters[first])) first--;
  while (end > 0 && isLetter(characters[end - 1]) && isLetter(characters[end])) end++;
  return characters.map((text, place) => ({ text, differs: place >= first && place < end }));
}

/** Two texts in quotation marks, each in at most `lines` lines, with what differs in bold. */
export function excerpts(
  texts: readonly [string, string],
  { width, lines, paint }: { width: number; lines: number; paint: Paint },
): [string[], string[]] {
  const [a, b] = texts.map((text) => Array.from(quoted(text))) as [string[], string[]];
  const least = Math.min(a.length, b.length);
  const from = sharedLength(a, b, least, 1);
  const after = sharedLength(a, b, least - from, -1);
  // Lines end before a word that does not fit.
  const room = lines === 1 ? width : Math.floor(0.9 * lines * width);
  const longest = Math.max(widthOfAll(a), widthOfAll(b));
  // The difference stands after the middle: what leads to it says more than what follows.
  const start =
    longest <= room ? 0 : Math.max(0, Math.min(from - Math.floor(0.6 * room), a.length - room + 1));
  const one = (characters: string[]): string[] =>
    inLines(cut(cellsOf(characters, from, characters.length - after), start, room), width).map(
      (line) => painted(line, paint),
    );
  return [one(a), one(b)];
}

/** One text in quotation marks on a line, its end cut off where there is no room. */
export const excerpt = (text: string, width: number): string => {
  const all = Array.from(quoted(text), (character) => ({ text: character, differs: false }));
  return painted(cut(all, 0, width), (_, part) => part);
};

/** A sentence in lines of at most `width`. */
export function wrapped(text: string, width: number): string[] {
  const lines: string[] = [];
  for (const word of plain(text).split(' ')) {
    const last = lines.at(-1);
    if (last !== undefined && last.length + 1 + word.length <= width) {
      lines[lines.length - 1] = `${last} ${word}`;
    } else lines.push(word);
  }
  return lines;
}

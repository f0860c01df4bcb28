// Files that are whole at any moment, whoever is ended meanwhile.
import { renameSync, writeFileSync } from 'node:fs';

/** Puts `text` into a file: it is written beside it and renamed. */
export function writeWhole(file, text) {
  writeFileSync(`${file}.part`, text);
  renameSync(`${file}.part`, file);
}

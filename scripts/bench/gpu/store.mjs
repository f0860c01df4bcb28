// The results of a run on disk: a file for each part, results.json of all parts and goals.json, whole
// at any moment, and log.txt of all that was printed. A second folder, the mirror, has the last three:
// a machine that gives back few files, of one call only, gives back all of them so.
import { appendFileSync, existsSync, mkdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { writeWhole } from '../whole-file.mjs';
import { goalFigures } from './goals.mjs';

const textOf = (object) => `${JSON.stringify(object, null, 2)}\n`;

export class Store {
  #folders;
  #results = {};

  /** Reads what earlier calls left in `folder`. @param names  of all parts */
  constructor(folder, mirror, names) {
    this.folder = folder;
    this.#folders = mirror === undefined ? [folder] : [folder, mirror];
    for (const each of this.#folders) mkdirSync(each, { recursive: true });
    for (const name of names) {
      const file = this.#file(name);
      if (existsSync(file)) this.#results[name] = JSON.parse(readFileSync(file, 'utf8'));
    }
  }

  #file(name) {
    return path.join(this.folder, `${name}.json`);
  }

  get results() {
    return this.#results;
  }

  get figures() {
    return goalFigures(this.#results);
  }

  /** Keeps what a part knows so far. */
  keep(name, result) {
    this.#results[name] = result;
    writeWhole(this.#file(name), textOf(result));
    this.summarize();
  }

  summarize() {
    const date = new Date().toISOString();
    for (const folder of this.#folders) {
      writeWhole(path.join(folder, 'results.json'), textOf(this.#results));
      writeWhole(path.join(folder, 'goals.json'), textOf({ date, figures: this.figures }));
    }
  }

  /** From now on all that this process prints is in log.txt as well. */
  keepLog() {
    for (const stream of [process.stdout, process.stderr]) {
      const write = stream.write.bind(stream);
      stream.write = (text, ...rest) => {
        for (const folder of this.#folders) appendFileSync(path.join(folder, 'log.txt'), text);
        return write(text, ...rest);
      };
    }
  }
}

// What lies at a path, as far as this process may know.
import { stat } from 'node:fs/promises';

/** Whether anything that can be looked at lies there, links followed. */
export const pathExists = (path: string): Promise<boolean> =>
  stat(path).then(
    () => true,
    () => false,
  );

/** Whether a folder lies there, links followed. */
export const isFolder = (path: string): Promise<boolean> =>
  stat(path).then(
    (found) => found.isDirectory(),
    () => false,
  );

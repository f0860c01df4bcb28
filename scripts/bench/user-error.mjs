// Mistakes of the person at the keyboard, in one sentence with a stable code (those of
// lib/errors.ts), and the exit codes of headspark: 0 done, 1 user error, 2 internal error.

export class UserError extends Error {
  constructor(message, code = 'ERR_HEADSPARK_INVALID_ARGUMENT') {
    super(message);
    this.name = 'UserError';
    this.code = code;
  }
}

/** The process was told to end by a signal; `exitCode` says by which. */
export class Interrupted extends Error {
  constructor(signal, exitCode) {
    super(`ended by ${signal}`);
    this.name = 'Interrupted';
    this.exitCode = exitCode;
  }
}

/** Runs `main` and turns what it throws into a line on stderr and an exit code. */
export async function runMain(main) {
  try {
    await main();
  } catch (error) {
    if (error instanceof Interrupted) {
      process.stderr.write(`${error.message}\n`);
      process.exitCode = error.exitCode;
      return;
    }
    const mistake = error instanceof UserError;
    process.stderr.write(mistake ? `${error.message} [${error.code}]\n` : `${error.stack}\n`);
    process.exitCode = mistake ? 1 : 2;
  }
}

/** yargs' `fail` handler: every message becomes a UserError. */
export function failAsUserError(message, error) {
  if (error instanceof UserError) throw error;
  throw new UserError((message ?? String(error)).replace(/\s*\n\s*/g, ' '));
}

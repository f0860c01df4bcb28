// The shape of the option vocabulary: what an option is, beyond its name.

export interface OptionSpec {
  readonly type: 'string' | 'number' | 'boolean';
  readonly describe: string;
  /** Heading in the help. */
  readonly group: string;
  readonly choices?: readonly string[];
  /** May be given several times. */
  readonly array?: true;
  readonly default?: string | number | boolean;
  /** Numbers only: no fraction. */
  readonly integer?: true;
  readonly min?: number;
  readonly max?: number;
  /** Texts only: what is wrong with one, to stand after its name. */
  readonly problem?: (text: string) => string | undefined;
}

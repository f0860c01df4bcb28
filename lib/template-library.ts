// What is used of @huggingface/jinja 0.5.11, with types: its declarations import without file extensions, so
// under NodeNext its classes have none, and what runs a template is private to it. Its version is exact.
import * as jinja from '@huggingface/jinja';

/** A value: `value` holds a Map for mappings, and a list for lists and tuples. */
export interface TemplateValue {
  readonly type: string;
  readonly value: unknown;
  readonly builtins: ReadonlyMap<string, TemplateValue>;
  /** Whether it counts as true. */
  __bool__(): { readonly value: boolean };
}

/** The variables of a scope, which sees those of its parent. */
export interface Variables {
  readonly variables: Map<string, TemplateValue>;
  /** Makes a value of the library of one of JavaScript. */
  set(name: string, value: unknown): TemplateValue;
  setVariable(name: string, value: TemplateValue): void;
}

/** A part of a parsed template; what else it has depends on its type. */
export interface TemplateNode {
  readonly type: string;
}

export interface LibraryInterpreter {
  /** A part that a slice leaves out is undefined. */
  evaluate(node: TemplateNode | undefined, scope: Variables): TemplateValue;
  evaluateBlock(nodes: readonly TemplateNode[], scope: Variables): TemplateValue;
  evaluateBinaryExpression(node: TemplateNode, scope: Variables): TemplateValue;
  evaluateMemberExpression(node: TemplateNode, scope: Variables): TemplateValue;
  evaluateTestExpression(node: TemplateNode, scope: Variables): TemplateValue;
  evaluateMacro(node: TemplateNode, scope: Variables): TemplateValue;
  evaluateFor(node: TemplateNode, scope: Variables): TemplateValue;
  applyFilter(value: TemplateValue, filter: TemplateNode, scope: Variables): TemplateValue;
}

interface Library {
  Environment: new (parent?: Variables) => Variables;
  Interpreter: new (scope: Variables) => LibraryInterpreter;
  tokenize: (source: string, options: { lstrip_blocks: boolean; trim_blocks: boolean }) => unknown;
  parse: (tokens: unknown) => TemplateNode;
}

export const { Environment, Interpreter, parse, tokenize } = jinja as unknown as Library;

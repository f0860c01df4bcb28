// Runs chat templates as Python's Jinja does. @huggingface/jinja 0.5.11 parses them and knows the language; where
// its values are JavaScript's instead of Python's (what a text is stripped of, what equals what, how a value is
// written, how long a name of a loop lives), the answers here are given instead.
import {
  Environment,
  Interpreter,
  type TemplateNode as Node,
  type TemplateValue,
  type Variables,
} from './template-library.js';
import {
  areEqual,
  BooleanValue,
  FloatValue,
  FunctionValue,
  IntegerValue,
  isList,
  isMapping,
  isNumber,
  isText,
  isUndefined,
  ListValue,
  listOf,
  mapOf,
  MappingValue,
  stripped,
  StringValue,
  templateValue,
  textOf,
  UndefinedValue,
  words,
  type TemplateFunction,
} from './template-values.js';

interface Named extends Node {
  readonly value: string;
}
interface Binary extends Node {
  readonly operator: { readonly value: string };
  readonly left: Node;
  readonly right: Node;
}
interface Member extends Node {
  readonly object: Node;
  readonly property: Node;
  readonly computed: boolean;
}
interface Loop extends Node {
  readonly loopvar: Named | (Node & { readonly value: readonly Named[] });
  readonly iterable: Node & { readonly lhs?: Node; readonly test?: Node };
  readonly body: readonly Node[];
  readonly defaultBlock: readonly Node[];
}
interface Call extends Node {
  readonly callee: Named;
  readonly args: readonly Node[];
}

const within = (scope: Variables): Variables => new Environment(scope);

/** A part of a template that is a value already. */
interface Known extends Node {
  readonly known: TemplateValue;
}
const known = (value: TemplateValue): Known => ({ type: 'Known', known: value });

class LeaveLoop extends Error {}
class NextRound extends Error {}

const silent = new Set(['Set', 'Macro', 'Comment']);
const dictMethods = new Set(['get', 'items', 'keys', 'values']);
const text = (value: string): TemplateValue => new StringValue(value);
const truth = (value: boolean): TemplateValue => new BooleanValue(value);
const list = (values: readonly TemplateValue[]): TemplateValue => new ListValue(values);
const method = (work: (args: TemplateValue[]) => TemplateValue): TemplateValue =>
  new FunctionValue((args) => work(args));

/** The text of an argument that may be left out. */
function textArgument(value: TemplateValue | undefined, call: string): string | undefined {
  if (value === undefined || value.type === 'NullValue') return undefined;
  if (isText(value)) return value.value as string;
  throw new Error(`${call} takes a text`);
}

const capitalized = (value: string): string => {
  const [first = '', ...rest] = value;
  return first.toUpperCase() + rest.join('').toLowerCase();
};

/** Jinja's filter, where only white space, hyphens and brackets begin a word. */
const titled = (value: string): string =>
  value
    .split(/([-\s({[<]+)/u)
    .map(capitalized)
    .join('');

const strip = (own: string, sides: { start: boolean; end: boolean }): TemplateValue =>
  method(([characters]) => text(stripped(own, textArgument(characters, 'strip()'), sides)));

/** Methods of a text that the library has otherwise. */
const textMethods: Record<string, (own: string) => TemplateValue> = {
  strip: (own) => strip(own, { start: true, end: true }),
  lstrip: (own) => strip(own, { start: true, end: false }),
  rstrip: (own) => strip(own, { start: false, end: true }),
  capitalize: (own) => method(() => text(capitalized(own))),
};

/** What a `for` goes through. */
function itemsOf(value: TemplateValue): readonly TemplateValue[] {
  if (isList(value)) return listOf(value);
  if (isMapping(value)) return [...mapOf(value).keys()].map(text);
  if (isText(value)) return [...(value.value as string)].map(text);
  if (isUndefined(value)) return [];
  throw new Error(`${textOf(value)} is not a list to go through`);
}

function loopValue(items: readonly TemplateValue[], index: number): TemplateValue {
  const { length } = items;
  const numbers = { index: index + 1, index0: index, length };
  const back = { revindex: length - index, revindex0: length - index - 1 };
  const ends = { first: index === 0, last: index === length - 1 };
  const loop = mapOf(templateValue({ ...numbers, ...back, ...ends }));
  const none = new UndefinedValue(undefined);
  return new MappingValue(
    new Map([
      ...loop,
      ['previtem', items[index - 1] ?? none],
      ['nextitem', items[index + 1] ?? none],
    ]),
  );
}

function contains(whole: TemplateValue, part: TemplateValue): boolean {
  if (isUndefined(whole)) return false;
  if (isList(whole)) return listOf(whole).some((item) => areEqual(item, part));
  if (isMapping(whole)) return isText(part) && mapOf(whole).has(part.value as string);
  if (isText(whole) && isText(part)) {
    return (whole.value as string).includes(part.value as string);
  }
  throw new Error('"in" is asked of what contains nothing');
}

/** Gives the names of a loop their values of a round. */
function bind(loopvar: Loop['loopvar'], item: TemplateValue, scope: Variables): void {
  if (loopvar.type === 'Identifier') {
    scope.setVariable((loopvar as Named).value, item);
    return;
  }
  const names = loopvar.value as readonly Named[];
  const items = itemsOf(item);
  if (names.length !== items.length) {
    throw new Error(`a loop has ${names.length} names for ${items.length} values`);
  }
  names.forEach(({ value }, index) => scope.setVariable(value, items[index]));
}

type Operation = (left: TemplateValue, right: TemplateValue) => TemplateValue | undefined;

/** The library divides by 0. */
const divides: Operation = (left, right) => {
  if (isNumber(left) && isNumber(right) && Number(right.value) === 0) {
    throw new Error('a number is divided by 0');
  }
  return undefined;
};

/** Operators that the library has otherwise; undefined leaves it to the library. */
const operations: Record<string, Operation> = {
  '==': (left, right) => truth(areEqual(left, right)),
  '!=': (left, right) => truth(!areEqual(left, right)),
  '~': (left, right) => text(textOf(left) + textOf(right)),
  in: (left, right) => truth(contains(right, left)),
  'not in': (left, right) => truth(!contains(right, left)),
  '+': (left, right) => {
    if (isText(left) && isText(right)) return text(textOf(left) + textOf(right));
    if (!isText(left) && !isText(right)) return undefined;
    const other = isText(left) ? right : left;
    const what = isUndefined(other) ? 'a value that is not there' : textOf(other);
    throw new Error(`a text and ${what} are added, which Python refuses`);
  },
  '%': (left, right) => {
    if (!isNumber(left) || !isNumber(right)) return undefined;
    divides(left, right);
    const [a, b] = [Number(left.value), Number(right.value)];
    const isFloat = left.type === 'FloatValue' || right.type === 'FloatValue';
    return new (isFloat ? FloatValue : IntegerValue)(a - b * Math.floor(a / b));
  },
  '/': divides,
  '//': divides,
};

type Filter = (value: TemplateValue, args: readonly TemplateValue[]) => TemplateValue | undefined;

const hasCase = (value: string): boolean => /[\p{Lu}\p{Ll}\p{Lt}]/u.test(value);
const isCased = (value: TemplateValue, same: (text: string) => string): boolean =>
  hasCase(textOf(value)) && same(textOf(value)) === textOf(value);

/** Tests that the library has otherwise. */
const tests: Record<string, (value: TemplateValue) => boolean> = {
  iterable: (value) => isList(value) || isMapping(value) || isText(value) || isUndefined(value),
  number: isNumber,
  lower: (value) => isCased(value, (own) => own.toLowerCase()),
  upper: (value) => isCased(value, (own) => own.toUpperCase()),
};

const part = (value: TemplateValue, name: string): TemplateValue =>
  (isMapping(value) ? mapOf(value).get(name) : undefined) ?? new UndefinedValue(undefined);

/** What the arguments of filters are called; those with other names are the library's. */
const parameters: Record<string, readonly string[]> = {
  join: ['d', 'attribute'],
  trim: ['chars'],
};

/** Filters that the library has otherwise; undefined leaves it to the library. */
const filters: Record<string, Filter> = {
  trim: (value, [characters]) =>
    text(stripped(textOf(value), textArgument(characters, 'trim'), { start: true, end: true })),
  string: (value) => text(textOf(value)),
  capitalize: (value) => text(capitalized(textOf(value))),
  upper: (value) => text(textOf(value).toUpperCase()),
  lower: (value) => text(textOf(value).toLowerCase()),
  length: (value) =>
    isText(value) ? new IntegerValue([...(value.value as string)].length) : undefined,
  list: (value) => (isList(value) ? value : list(itemsOf(value))),
  first: (value) => itemsOf(value)[0] ?? new UndefinedValue(undefined),
  last: (value) => itemsOf(value).at(-1) ?? new UndefinedValue(undefined),
  join: (value, [separator, attribute]) => {
    const name = textArgument(attribute, 'join');
    const items =
      name === undefined ? itemsOf(value) : itemsOf(value).map((one) => part(one, name));
    return text(items.map(textOf).join(textArgument(separator, 'join') ?? ''));
  },
  title: (value) => text(titled(textOf(value))),
  int: (value) =>
    value.type === 'FloatValue' ? new IntegerValue(Math.trunc(value.value as number)) : undefined,
};

/** @huggingface/jinja's interpreter with Python's values. */
export class TemplateInterpreter extends Interpreter {
  override evaluate(node: Node | undefined, scope: Variables): TemplateValue {
    if (node?.type === 'Break') throw new LeaveLoop();
    if (node?.type === 'Continue') throw new NextRound();
    if (node?.type === 'Known') return (node as Known).known;
    return super.evaluate(node, scope);
  }

  override evaluateBlock(nodes: readonly Node[], scope: Variables): TemplateValue {
    let out = '';
    for (const node of nodes) {
      const value = this.evaluate(node, scope);
      if (!silent.has(node.type)) out += textOf(value);
    }
    return text(out);
  }

  override evaluateBinaryExpression(node: Binary, scope: Variables): TemplateValue {
    const name = node.operator.value;
    const operation = Object.hasOwn(operations, name) ? operations[name] : undefined;
    if (!operation) return super.evaluateBinaryExpression(node, scope);
    const left = this.evaluate(node.left, scope);
    const right = this.evaluate(node.right, scope);
    return (
      operation(left, right) ??
      super.evaluateBinaryExpression(
        { ...node, left: known(left), right: known(right) } as Binary,
        scope,
      )
    );
  }

  override evaluateMemberExpression(node: Member, scope: Variables): TemplateValue {
    const object = this.evaluate(node.object, scope);
    if (isUndefined(object)) {
      const what = (node.object as Partial<Named>).value;
      throw new Error(`${typeof what === 'string' ? what : 'what has a part'} is undefined`);
    }
    const { property, computed } = node;
    if (!computed && property.type === 'Identifier') {
      const name = (property as Named).value;
      if (isText(object)) return this.#textMember(object, name);
      if (isMapping(object) && dictMethods.has(name)) {
        const own = object.builtins.get(name);
        if (own) return own;
      }
    }
    if (computed && isText(object) && property.type !== 'SliceExpression') {
      const index = this.evaluate(property, scope);
      if (index.type === 'IntegerValue') {
        const character = [...(object.value as string)].at(index.value as number);
        return character === undefined ? new UndefinedValue(undefined) : text(character);
      }
    }
    return super.evaluateMemberExpression({ ...node, object: known(object) } as Member, scope);
  }

  #textMember(object: TemplateValue, name: string): TemplateValue {
    const own = object.value as string;
    if (Object.hasOwn(textMethods, name)) return textMethods[name](own);
    const member = object.builtins.get(name);
    if (member?.type !== 'FunctionValue') return new UndefinedValue(undefined);
    if (name !== 'split') return member;
    const library = member.value as (args: TemplateValue[]) => TemplateValue;
    return method((args) => {
      if (textArgument(args[0], 'split()') !== undefined) return library(args);
      return list(words(own, Number(args[1]?.value ?? -1)).map(text));
    });
  }

  override evaluateTestExpression(
    node: Node & { operand: Node; test: Named; negate: boolean },
    scope: Variables,
  ): TemplateValue {
    const name = node.test.value;
    if (!Object.hasOwn(tests, name)) return super.evaluateTestExpression(node, scope);
    return truth(tests[name](this.evaluate(node.operand, scope)) !== node.negate);
  }

  /** A macro sees what is around it, not what is around its call. */
  override evaluateMacro(node: Node & { name: Named }, scope: Variables): TemplateValue {
    const made = super.evaluateMacro(node, scope);
    const name = node.name.value;
    const work = scope.variables.get(name)!.value as TemplateFunction;
    const macro = new FunctionValue((args, around) => {
      const own = within(scope);
      const called = around.variables.get('caller');
      if (called) own.setVariable('caller', called);
      return work(args, own);
    });
    scope.setVariable(name, macro);
    return made;
  }

  /** Names of one round are gone in the next. As in Jinja, `else` is for loops without a whole round. */
  override evaluateFor(node: Loop, scope: Variables): TemplateValue {
    const items = this.#loopItems(node, scope);
    let out = '';
    let hasRound = false;
    for (const [index, item] of items.entries()) {
      const round = within(scope);
      bind(node.loopvar, item, round);
      round.setVariable('loop', loopValue(items, index));
      try {
        out += textOf(this.evaluateBlock(node.body, round));
        hasRound = true;
      } catch (error) {
        if (error instanceof LeaveLoop) break;
        if (!(error instanceof NextRound)) throw error;
      }
    }
    if (hasRound) return text(out);
    return text(out + textOf(this.evaluateBlock(node.defaultBlock, within(scope))));
  }

  #loopItems({ iterable, loopvar }: Loop, scope: Variables): readonly TemplateValue[] {
    const { lhs, test } = iterable;
    if (iterable.type !== 'SelectExpression' || !lhs || !test) {
      return itemsOf(this.evaluate(iterable, scope));
    }
    return itemsOf(this.evaluate(lhs, scope)).filter((item) => {
      const round = within(scope);
      bind(loopvar, item, round);
      return this.evaluate(test, round).__bool__().value;
    });
  }

  override applyFilter(
    value: TemplateValue,
    filter: Named | Call,
    scope: Variables,
  ): TemplateValue {
    const call = filter.type === 'CallExpression' ? (filter as Call) : undefined;
    const name = call ? call.callee.value : (filter as Named).value;
    if (name === 'tojson' && isUndefined(value)) throw new Error('what is undefined has no JSON');
    const own = Object.hasOwn(filters, name) ? filters[name] : undefined;
    const given = own && this.#givenArguments(name, call?.args ?? [], scope);
    return (given && own(value, given)) ?? super.applyFilter(value, filter, scope);
  }

  #givenArguments(
    name: string,
    args: readonly Node[],
    scope: Variables,
  ): TemplateValue[] | undefined {
    const given: TemplateValue[] = [];
    for (const argument of args) {
      const { type, key, value } = argument as Node & { key?: Named; value?: Node };
      const index = key ? (parameters[name] ?? []).indexOf(key.value) : given.length;
      if (/Spread/.test(type) || index === -1) return undefined;
      given[index] = this.evaluate(key ? value : argument, scope);
    }
    return given;
  }
}

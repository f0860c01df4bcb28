// Whoever calls a function of the package can write down what it takes and gives: every type that a
// public signature names can be imported from the package itself, and helpers of its modules cannot.
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';
import { expect, it } from 'vitest';

const library = fileURLToPath(new URL('../../lib/', import.meta.url));

/** What nobody has to name: parts of constructors, aliases of plain types, and what a study is made of. */
const unnamed = new Set([
  'ChatTemplateParts',
  'ModelParts',
  'NativeModel',
  'NativeModelInfo',
  'NativeSweepSharing',
  'Found',
  'Values',
  'Words',
  // A pick of Model's members; another type of this name is exported.
  'PromptModel',
  'StageNode',
  'StudySource',
  'SweepParts',
  'ValuePath',
]);

function programOf(file: string): ts.Program {
  return ts.createProgram([file], {
    target: ts.ScriptTarget.ES2022,
    module: ts.ModuleKind.NodeNext,
    moduleResolution: ts.ModuleResolutionKind.NodeNext,
    types: ['node'],
    strict: true,
    skipLibCheck: true,
    noEmit: true,
  });
}

/** The types that a declaration says, and not those inside of the bodies of functions. */
function typesIn(node: ts.Node): ts.EntityName[] {
  const names: ts.EntityName[] = [];
  const visit = (part: ts.Node): void => {
    if (ts.isBlock(part) || (ts.isPropertyDeclaration(part) && ts.isPrivateIdentifier(part.name))) {
      return;
    }
    if (ts.isMethodDeclaration(part) && ts.isPrivateIdentifier(part.name)) return;
    if (ts.isTypeReferenceNode(part)) names.push(part.typeName);
    ts.forEachChild(part, visit);
  };
  visit(node);
  return names;
}

const file = join(library, 'index.ts');
const program = programOf(file);
const checker = program.getTypeChecker();
const resolved = (symbol: ts.Symbol): ts.Symbol =>
  symbol.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(symbol) : symbol;
const index = checker.getSymbolAtLocation(program.getSourceFile(file)!)!;
const exported = new Set(checker.getExportsOfModule(index).map(resolved));

it('exports every type that its signatures name', () => {
  const missing = new Set<string>();
  const ours = (symbol: ts.Symbol): boolean =>
    symbol.declarations?.some((at) => at.getSourceFile().fileName.startsWith(library)) ?? false;
  for (const symbol of exported) {
    // Values that are computed say their types only where they are declared.
    const said =
      symbol.declarations?.filter((at) => !ts.isVariableDeclaration(at) || at.type) ?? [];
    for (const name of said.flatMap(typesIn)) {
      const found = checker.getSymbolAtLocation(name);
      if (!found) continue;
      const type = resolved(found);
      if (type.flags & ts.SymbolFlags.TypeParameter || exported.has(type) || !ours(type)) continue;
      if (!unnamed.has(type.name)) missing.add(`${type.name} (of ${symbol.name})`);
    }
  }
  expect([...missing]).toEqual([]);
});

it('says of its callbacks that their promises are waited for', () => {
  const silent: string[] = [];
  for (const symbol of exported) {
    for (const declaration of symbol.declarations ?? []) {
      if (!ts.isInterfaceDeclaration(declaration)) continue;
      for (const member of declaration.members) {
        const name = member.name?.getText() ?? '';
        const waits = / => CallbackResult\b/.test(member.getText());
        if (/^on[A-Z]/.test(name) && !waits) silent.push(`${symbol.name}.${name}`);
      }
    }
  }
  // Of a function that gives no promise: tokenizePair.
  expect(silent).toEqual(['PairOptions.onMessages']);
});

it('keeps to itself what only its own modules need', async () => {
  const names = Object.keys(await import('../../lib/index.js'));
  const internal = ['factorError', 'isFactor', 'specialTokensOf', 'Journal', 'runJob', 'native'];
  expect(names.filter((name) => internal.includes(name))).toEqual([]);
});

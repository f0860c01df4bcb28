// Circuits in one place: graph, score tables, selection, pruning, faithfulness.

export * from './circuit.js';
export * from './faithfulness.js';
export * from './graph.js';
export * from './names.js';
export * from './score-table.js';
export * from './select.js';
export * from './shape.js';

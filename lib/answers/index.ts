// Answers of generated texts: finding them, checking them, grouping equal ones. No addon needed.

export { checkAnswer, type CheckOptions } from './check.js';
export { choiceLetter, choiceLetters } from './choice.js';
export * from './extract.js';
export { groupAnswers } from './group.js';
export { normalizeLatex } from './normalize.js';
export * from './rational.js';

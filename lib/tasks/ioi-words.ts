// The words and sentence forms of the indirect object identification task (after Wang et al. 2022).
const list = (text: string): readonly string[] => text.trim().split(/\s+/);

/** First names that common tokenizers hold as one token. */
export const names = list(`
  Aaron Adam Alan Alex Alice Amber Amy Andrea Andrew Anna Anthony Ben Bob Brandon Brian Carl
  Charles Chris Christina Daniel David Edward Emily Emma Eric Frank George Grace Henry Jack Jacob
  James Jamie Jane Jason Jennifer Jeremy Jessica John Jonathan Jose Joseph Julia Justin Kate Kelly
  Kevin Kyle Laura Lily Lisa Lucy Maria Mark Martin Mary Matthew Max Mia Michael Michelle Nicholas
  Nicole Patrick Paul Peter Rachel Rebecca Richard Robert Ryan Sam Samantha Sara Sarah Scott Sean
  Simon Stephen Steven Sue Thomas Tim Timothy Tom Tyler Victoria William`);

export const places = list('garden house hospital office park restaurant school station store');

export const objects = list(
  'ball basketball bone book computer drink hat kiss necklace ring snack',
);

/** {A} and {B} are the two names, {S} the repeated one. */
export const templates: readonly string[] = [
  'Then, {A} and {B} went to the {PLACE}. {S} gave a {OBJECT} to',
  'Then, {A} and {B} had a lot of fun at the {PLACE}. {S} gave a {OBJECT} to',
  'Then, {A} and {B} were working at the {PLACE}. {S} decided to give a {OBJECT} to',
  'Then, {A} and {B} were thinking about going to the {PLACE}. {S} wanted to give a {OBJECT} to',
  'Then, {A} and {B} had a long argument, and afterwards {S} said to',
  'After {A} and {B} went to the {PLACE}, {S} gave a {OBJECT} to',
  'When {A} and {B} got a {OBJECT} at the {PLACE}, {S} decided to give it to',
  'One day, {A} and {B} went to the {PLACE}. {S} gave a {OBJECT} to',
];

// The style sheet of the report: one column, light and dark, and a sheet for paper.

import { dark, light, themeVariables, type Theme } from './palette.js';

const variables = (theme: Theme): string =>
  Object.entries(themeVariables(theme))
    .map(([name, value]) => `${name}:${value}`)
    .join(';');

/** Rows that a printed page has of a table; a screen has all. */
export const printedRows = 40;

const sides = ['left', 'right'];

/** A shade at a side beyond which there is more. */
const shades = sides.map(
  (side) =>
    `linear-gradient(to ${side},transparent,color-mix(in srgb,var(--ink) 28%,transparent)) ` +
    `${side} 0 top 0/.8rem calc(100% - 2px) no-repeat scroll`,
);

/** They move with the content, and hide the shade where it ends. */
const covers = sides.map(
  (side) =>
    `linear-gradient(to ${side},transparent,var(--page) 60%) ${side}/3rem 100% no-repeat local`,
);

export const pageStyle = `
:root{color-scheme:light;${variables(light)}}
@media (prefers-color-scheme:dark){:root:not([data-theme=light]){color-scheme:dark;${variables(dark)}}}
:root[data-theme=dark]{color-scheme:dark;${variables(dark)}}
*{box-sizing:border-box}
html{scroll-padding-top:6rem}
body{margin:0;background:var(--page);color:var(--ink);font:15px/1.5 system-ui,'DejaVu Sans',sans-serif}
a{color:var(--emergent)}
.skip{position:absolute;left:-999rem}.skip:focus{left:1rem;top:.5rem;z-index:3;background:var(--page);padding:.3rem}
header,main,footer{max-width:1160px;margin:0 auto;padding:0 1.2rem}
header{padding-top:1.4rem}
h1{font-size:1.7rem;margin:.2rem 0}h2{font-size:1.3rem;margin:2.6rem 0 .3rem;border-bottom:1px solid var(--line);padding-bottom:.2rem}
h3{font-size:1.02rem;margin:1.6rem 0 .2rem}
p{max-width:76ch;margin:.4rem 0}.faint{color:var(--faint)}
nav{position:sticky;top:0;z-index:2;background:var(--page);border-bottom:1px solid var(--line)}
nav ul{max-width:1160px;margin:0 auto;padding:.5rem 1.2rem;display:flex;flex-wrap:wrap;gap:.2rem 1.1rem;list-style:none}
button,input,select{font:inherit;color:inherit;background:var(--page);border:1px solid var(--faint);border-radius:4px;padding:.15rem .55rem}
button{cursor:pointer}
:focus-visible{outline:2px solid var(--emergent);outline-offset:2px}
figure{margin:0 0 1.6rem}figcaption{color:var(--faint);max-width:80ch;margin:.3rem 0}
.notes{margin:.2rem 0;padding-left:1.2rem}
.picture,.scroll{background:${[...covers, ...shades].join(',')}}
.picture{overflow-x:auto;padding:.3rem 0}.picture svg{max-width:none;display:block}
.tools{display:flex;gap:.6rem;align-items:center;flex-wrap:wrap;margin:.3rem 0}
.scroll{overflow:auto;max-height:30rem;border:1px solid var(--line);border-radius:4px}
table{border-collapse:collapse;font-size:12px;font-variant-numeric:tabular-nums;width:100%}
th,td{padding:.2rem .32rem;text-align:left}
th{vertical-align:bottom}
td.long,td.name{overflow-wrap:anywhere}td.long{min-width:9rem}td.name{min-width:7rem}
td.number,th.number{text-align:right}
td.number,.interval span{white-space:nowrap}td.interval{white-space:normal}
thead th{position:sticky;top:0;background:var(--page);border-bottom:2px solid var(--line);padding:0}
thead button{border:0;width:100%;text-align:inherit;font-weight:600;padding:.3rem .32rem;background:none;line-height:1.25}
th[aria-sort=ascending] button::after{content:' ▲'}th[aria-sort=descending] button::after{content:' ▼'}
tbody tr:nth-child(even){background:color-mix(in srgb,var(--line) 22%,transparent)}
p.paper{display:none}
tr.uncertain td{font-style:italic;color:var(--faint)}
pre{white-space:pre-wrap;overflow-wrap:anywhere;border:1px solid var(--line);border-radius:4px;padding:.7rem;font-size:12.5px}
dl{display:grid;grid-template-columns:max-content 1fr;gap:.15rem 1rem}dt{color:var(--faint)}dd{margin:0;overflow-wrap:anywhere}
.flip{border:1px solid var(--line);border-radius:4px;margin:.25rem 0}
.flip summary{cursor:pointer;padding:.25rem .6rem;display:flex;flex-wrap:wrap;gap:.1rem .9rem;align-items:baseline}
.flip summary::before{content:'▸';color:var(--faint)}.flip[open] summary::before{content:'▾'}
.flip .way{border-left:4px solid var(--emergent);padding-left:.5rem}.flip.right-to-wrong .way{border-color:var(--base)}
.flip p{margin:.3rem .8rem}.flip .question{white-space:pre-wrap;overflow-wrap:anywhere}
.flip h4{margin:.2rem 0;font-size:.92rem;overflow-wrap:anywhere}
.flip-list{max-height:44rem;overflow:auto}
.sides{display:grid;grid-template-columns:1fr 1fr;gap:.8rem;padding:0 .8rem .6rem}.sides pre{margin:.2rem 0}
.sides>div{min-width:0}
mark{color:inherit;background:color-mix(in srgb,var(--emergent) 16%,transparent);border-radius:2px}
@media (max-width:640px){.sides{grid-template-columns:1fr}html{scroll-padding-top:3rem}
nav ul{flex-wrap:nowrap;overflow-x:auto}nav li{flex:none}}
#tip{position:fixed;z-index:4;pointer-events:none;background:var(--ink);color:var(--page);padding:.25rem .5rem;border-radius:4px;font-size:12.5px;max-width:26rem}
#tip[hidden]{display:none}
svg [data-tip]{cursor:default}
.notice{border-left:4px solid var(--base);padding:.3rem .8rem;background:color-mix(in srgb,var(--base) 8%,transparent)}
@media print{
  :root:root,:root[data-theme=dark]{color-scheme:light;${variables(light)}}
  nav,.tools,.keys,.skip,#tip{display:none}
  .scroll,.flip-list{max-height:none;overflow:visible;border:0}
  .picture,.scroll{background:none}
  body{font-size:10pt}tr,.picture{break-inside:avoid}h2,h2+p,h3{break-after:avoid}h2+p{break-inside:avoid}
  table{font-size:8pt}th,td{padding:.1rem .25rem}thead button{padding:.1rem .25rem}td.long{min-width:6rem}td.name{min-width:5rem}
  tbody tr:nth-child(n+${printedRows + 1}){display:none}p.paper{display:block}
  .picture{overflow:visible}.picture svg{max-width:100%;max-height:24cm;width:auto;height:auto}
}
`;

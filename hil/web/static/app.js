// The live application: the list of runs, or one run.

import { el } from "./dom.js";
import { runPage } from "./page.js";
import { runsPage } from "./runs.js";
import { servedRun } from "./served.js";

const found = /^\/run\/([^/]+)$/.exec(location.pathname);
const page = found ? runPage(servedRun(decodeURIComponent(found[1]))) : runsPage();
document.body.replaceChildren(el("nav", {}, el("a", { href: "/" }, "all runs")), page);

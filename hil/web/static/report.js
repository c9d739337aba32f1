// An exported report: the page of one run, with everything it shows inside the file.

import { runPage } from "./page.js";
import { embeddedRun } from "./embedded.js";

document.body.replaceChildren(runPage(embeddedRun(JSON.parse(document.getElementById("run").textContent))));

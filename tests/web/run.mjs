// Runs a Python program in WebAssembly: node run.mjs FOLDER_OF_PYODIDE ARCHIVE < program

import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";

const [folder, archive] = process.argv.slice(2);
const { loadPyodide } = await import(pathToFileURL(`${folder}/pyodide.mjs`));
const pyodide = await loadPyodide();
pyodide.unpackArchive(new Uint8Array(readFileSync(archive)), "wheel");
pyodide.runPython(readFileSync(0, "utf8"));

// Starts the Chromium of this machine, without a sandbox where this is root's
// and with nothing that would ask for the network.
"use strict";

const {existsSync} = require("fs");
const modules = process.env.PYPROF_NODE_MODULES;
const {chromium} = require(modules + "/playwright-core");

const PROGRAMS = ["/usr/bin/chromium", "/usr/bin/chromium-browser"];

async function open() {
    const executablePath = PROGRAMS.find((path) => existsSync(path));
    if (!executablePath) {
        throw new Error("no Chromium here: apt-get install chromium");
    }
    return chromium.launch({
        executablePath,
        args: process.getuid() === 0 ? ["--no-sandbox"] : [],
    });
}

module.exports = {open, axe: () => require.resolve(modules + "/axe-core")};

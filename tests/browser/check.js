// What the tests of pages share: a page that reports all that goes wrong in
// it, and a list of checks of which each is run and told of.
"use strict";

const assert = require("assert");
const fs = require("fs");
const path = require("path");
const {open, axe} = require("./browser.js");

let failed = 0;

/** Runs one check, and goes on whatever comes of it. */
async function check(name, body) {
    try {
        await body();
        console.log("ok      " + name);
    } catch (error) {
        failed++;
        console.log("FAILED  " + name + "\n" + error.stack);
    }
}

/** A page whose console, errors, dialogs and requests are watched. */
async function watched(browser, file, options = {}) {
    const context = await browser.newContext(Object.assign(
        {viewport: {width: 1400, height: 900}, reducedMotion: "reduce",
         permissions: ["clipboard-read", "clipboard-write"]}, options));
    const page = await context.newPage();
    page.problems = [];
    page.on("console", (message) => {
        if (["error", "warning"].includes(message.type())) {
            page.problems.push(message.text());
        }
    });
    page.on("pageerror", (error) => page.problems.push(error.stack));
    page.on("dialog", (dialog) => {
        page.problems.push("a dialog: " + dialog.message());
        dialog.dismiss();
    });
    page.on("request", (request) => {
        if (!/^(file|data|blob):/.test(request.url())) {
            page.problems.push("a request: " + request.url());
        }
    });
    await page.goto("file://" + file);
    return page;
}

/** Fails on what a person with other senses would meet as a wall. */
async function accessible(page) {
    // The page's own policy allows no further script, and rightly: this one
    // comes by the debugger's way.
    await page.evaluate(fs.readFileSync(axe(), "utf8"));
    const found = await page.evaluate(() => globalThis.axe.run());
    const walls = found.violations.filter((violation) =>
        ["serious", "critical"].includes(violation.impact));
    assert.deepStrictEqual(walls.map((violation) => violation.id + ": "
        + violation.nodes.map((node) => node.html).join("\n")), []);
}

/** Nothing sticks out at the side. */
async function fits(page) {
    const [wide, room] = await page.evaluate(() =>
        [document.documentElement.scrollWidth, innerWidth]);
    assert(wide <= room, "the page is " + wide + " wide in " + room);
}

function quiet(page) {
    assert.deepStrictEqual(page.problems, []);
}

async function picture(page, folder, name) {
    await page.screenshot({path: path.join(folder, name + ".png")});
}

/** Runs `tests(browser, folder)`, folder being the first argument. */
function run(tests) {
    const folder = process.argv[2];
    open().then(async (browser) => {
        await tests(browser, folder);
        await browser.close();
        process.exit(failed === 0 ? 0 : 1);
    }).catch((error) => {
        console.error(error);
        process.exit(1);
    });
}

module.exports = {accessible, assert, check, fits, fs, path, picture, quiet,
                  run, watched};

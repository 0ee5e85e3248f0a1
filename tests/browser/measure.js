// Measures a flame graph's page in Chromium, as a line of JSON: time to the
// first frame that shows it, frames a second while zooming in and out of its
// widest boxes, and while moving. Used by bench/pages.py; nothing is tested.
"use strict";

const {open} = require("./browser.js");

async function main(file) {
    const browser = await open();
    const page = await browser.newPage({viewport: {width: 1400, height: 900}});
    const begin = Date.now();
    await page.goto("file://" + file);
    await page.evaluate(() => new Promise((resolve) =>
        requestAnimationFrame(() => requestAnimationFrame(resolve))));
    const seen = Date.now() - begin;
    const paint = await page.evaluate(() =>
        performance.getEntriesByName("first-contentful-paint")[0].startTime);
    const frames = await page.evaluate(async () => {
        const app = globalThis.pyprof;
        const times = [];
        const run = async (draw) => {
            for (let i = 0; i < 60; i++) {
                const start = performance.now();
                draw(i);
                app.drawNow();
                times.push(performance.now() - start);
                await new Promise(requestAnimationFrame);
            }
        };
        const [a, b] = app.whole;
        await run((i) => {
            const size = (b - a) * Math.pow(0.8, i / 2);
            const middle = a + (b - a) * 0.37;
            app.state.zoom = [middle - size * 0.37, middle + size * 0.63];
        });
        await run((i) => {
            app.state.zoom = [a + (b - a) * i / 200, a + (b - a) * (i / 200 + 0.2)];
        });
        times.sort((x, y) => x - y);
        return {median: times[60], slowest: times[119],
                late: times.filter((t) => t > 1000 / 30).length};
    });
    const memory = await page.evaluate(() =>
        performance.memory.usedJSHeapSize / 1e6);
    console.log(JSON.stringify({firstPaintMs: Math.round(paint),
                                shownMs: seen,
                                boxes: await page.evaluate(
                                    () => globalThis.pyprof.view.n),
                                frameMs: frames.median,
                                slowestFrameMs: frames.slowest,
                                framesOver33ms: frames.late,
                                heapMb: Math.round(memory)}));
    await browser.close();
}

main(process.argv[2]).catch((error) => {
    console.error(error);
    process.exit(1);
});

// The flame graph, used as a person uses it.
"use strict";

const {accessible, assert, check, fits, fs, path, picture, quiet, run, watched}
    = require("./check.js");

const state = (page) => page.evaluate(() => globalThis.pyprof.state);
const hash = (page) => page.evaluate(() => location.hash);

/** A point within the widest box of a level. */
const boxAt = (page, level) => page.evaluate((d) => {
    const {view, canvas, place} = globalThis.pyprof;
    const box = [...view.levels[d]].reduce((a, b) =>
        (view.total[b] > view.total[a] ? b : a));
    const at = canvas.getBoundingClientRect();
    const scale = place.width / (place.b - place.a);
    return {x: at.left + ((view.x0[box] + view.x1[box]) / 2 - place.a) * scale,
            y: at.top + d * 19 + 9 - place.top, box,
            name: globalThis.pyprof.model.functions[view.key[box]].name};
}, level);

async function numbers(browser, folder) {
    const page = await watched(browser, path.join(folder, "made.html"));
    await check("numbers: what is written is what is read", async () => {
        const seen = await page.evaluate(() => {
            const {model, view, total, sums} = globalThis.pyprof;
            let levels = 0;
            for (const box of view.levels[0]) {
                levels += view.total[box];
            }
            return {threads: model.threads.map((t) => t.samples),
                    names: model.threads.map((t) => t.name),
                    total: total[0], roots: levels,
                    self: sums.self.reduce((a, b) => a + b, 0),
                    most: Math.max(...sums.total)};
        });
        // 3,000 stacks, the i-th of them 1 + i % 3 times, in turn in 4 threads
        assert.deepStrictEqual(seen.threads, [1500, 1500, 1500, 1500]);
        assert.deepStrictEqual(seen.names, ["worker-1", "worker-2", "worker-3",
                                            "worker-4"]);
        assert.strictEqual(seen.total, 6000);
        assert.strictEqual(seen.roots, 6000);
        assert.strictEqual(seen.self, 6000);
        assert(seen.most <= 6000);
    });
    await check("numbers: every view has all samples", async () => {
        for (const view of ["inverted", "top"]) {
            for (const by of ["line", "function"]) {
                const sum = await page.evaluate(([v, b]) => {
                    globalThis.pyprof.change({view: v, by: b});
                    const made = globalThis.pyprof.view;
                    return [...made.levels[0]].reduce((s, box) =>
                        s + made.total[box], 0);
                }, [view, by]);
                assert.strictEqual(sum, 6000, view + " by " + by);
            }
        }
    });
    await check("numbers: spans of time add up", async () => {
        const parts = await page.evaluate(() => {
            const app = globalThis.pyprof;
            const half = Math.floor(app.model.ticks / 2);
            return [[0, half], [half, app.model.ticks]].map((span) => {
                app.change({span});
                return app.total[0];
            });
        });
        const {ticks} = await page.evaluate(() => ({
            ticks: globalThis.pyprof.model.log.reduce((sum, runs) =>
                sum + runs.end.reduce((s, end, i) => s + end - runs.start[i], 0),
            0)}));
        assert.strictEqual(parts[0] + parts[1], ticks);
    });
    quiet(page);
    await page.context().close();
}

async function using(browser, folder) {
    const page = await watched(browser, path.join(folder, "real.html"));
    await check("opens with a verdict, a graph and a table", async () => {
        assert.match(await page.textContent("#verdict"), /%.* of .* is in /);
        assert(await page.locator("#rows tr").count() > 3);
        assert(await page.evaluate(() => globalThis.pyprof.frames > 0));
        await fits(page);
    });
    await check("zooms by a click; back and forward go through zooms",
                async () => {
        const at = await boxAt(page, 2);
        await page.mouse.click(at.x, at.y);
        await page.waitForFunction(() => location.hash.includes("zoom="));
        const zoomed = await hash(page);
        await page.click("#back");
        await page.waitForFunction(() => !location.hash.includes("zoom="));
        assert.strictEqual((await state(page)).zoom, null);
        await page.click("#forward");
        await page.waitForFunction((h) => location.hash === h, zoomed);
        assert.notStrictEqual((await state(page)).zoom, null);
    });
    await check("an address is a place", async () => {
        const place = await state(page);
        const other = await watched(browser, path.join(folder, "real.html")
            + await hash(page));
        assert.deepStrictEqual((await state(other)).zoom, place.zoom);
        quiet(other);
        await other.context().close();
        await page.click("#reset");
    });
    await check("a tooltip says what a box is", async () => {
        const at = await boxAt(page, 1);
        await page.mouse.move(at.x, at.y);
        await page.waitForSelector("#tip:not([hidden])");
        const text = await page.textContent("#tip");
        assert(text.includes(at.name) && text.includes("samples"), text);
        await picture(page, folder, "flamegraph-tooltip");
        await page.mouse.move(5, 5);
    });
    await check("searches by name and by line", async () => {
        await page.keyboard.press("/");
        await page.keyboard.type("work");
        assert.match(await page.textContent("#found"), /^[\d.]+ % in \d+ func/);
        const rows = await page.locator("#rows tr").count();
        assert(rows >= 1 && rows < 10, String(rows));
        await page.fill("#search", "hostile.py:");
        await page.fill("#search", "no such thing");
        assert.match(await page.textContent("#found"), /^0.00 % in 0/);
        await page.keyboard.press("Escape");
        assert.strictEqual(await page.textContent("#found"), "");
    });
    await keyboard(page);
    await controls(page, folder);
    quiet(page);
    await page.context().close();
}

async function keyboard(page) {
    await check("works by keyboard", async () => {
        await page.focus("#graph");
        await page.evaluate(() => globalThis.pyprof.select(0, false));
        await page.keyboard.press("ArrowDown");
        await page.keyboard.press("ArrowDown");
        const depth = () => page.evaluate(() =>
            globalThis.pyprof.view.depth[globalThis.pyprof.selected]);
        assert.strictEqual(await depth(), 1);
        await page.keyboard.press("ArrowUp");
        assert.strictEqual(await depth(), 0);
        assert.match(await page.textContent("#status"), /samples/);
        await page.keyboard.press("ArrowDown");
        await page.keyboard.press("Enter");
        await page.keyboard.press("Escape");
        await page.waitForFunction(() => globalThis.pyprof.state.zoom === null);
        for (const [key, view] of [["2", "inverted"], ["3", "time"],
                                   ["1", "top"]]) {
            await page.keyboard.press(key);
            assert.strictEqual((await state(page)).view, view);
        }
        await page.keyboard.press("?");
        assert(await page.locator("#help").isVisible());
        await page.keyboard.press("Escape");
        assert(!await page.locator("#help").isVisible());
    });
    await check("copies a stack", async () => {
        await page.focus("#graph");
        await page.keyboard.press("ArrowDown");
        await page.keyboard.press("c");
        await page.waitForFunction(() =>
            document.getElementById("status").textContent.startsWith("Copied"));
        const text = await page.evaluate(() => navigator.clipboard.readText());
        assert.match(text, /^Outermost first, .* samples/);
    });
}

async function controls(page, folder) {
    await check("shows one thread, a span of time, lines", async () => {
        const all = await page.evaluate(() => globalThis.pyprof.total[0]);
        await page.locator(".strip button").first().click();
        const one = await page.evaluate(() => globalThis.pyprof.total[0]);
        assert(one > 0 && one < all);
        await page.locator(".strip button").first().click();
        const box = await page.locator(".strip canvas").first().boundingBox();
        await page.mouse.move(box.x + box.width * 0.3, box.y + 5);
        await page.mouse.down();
        await page.mouse.move(box.x + box.width * 0.6, box.y + 5, {steps: 4});
        await page.mouse.up();
        const span = await page.evaluate(() => globalThis.pyprof.total[0]);
        assert(span > 0 && span < all);
        assert.match(await page.textContent("#note"), /from .* to /);
        await picture(page, folder, "flamegraph-span");
        await page.click("#reset");
        await page.click("#by button[value=line]");
        assert.strictEqual((await state(page)).by, "line");
        await page.click("#by button[value=function]");
    });
    await check("saves pictures", async () => {
        for (const kind of ["png", "svg"]) {
            const [download] = await Promise.all([
                page.waitForEvent("download"), page.click("#" + kind)]);
            const file = path.join(folder, "saved." + kind);
            await download.saveAs(file);
            const bytes = fs.readFileSync(file);
            assert(bytes.length > 1000);
            if (kind === "svg") {
                assert(!bytes.includes("<script") && !bytes.includes("<img"));
                assert(bytes.includes("<rect"));
            }
        }
    });
    await check("a function leads to its callers and callees", async () => {
        await page.locator("#rows tr button").nth(1).click();
        await page.waitForSelector("#details:not([hidden])");
        await page.locator("#details li button").first().click();
        assert.match(await hash(page), /function=/);
    });
    await check("the sidebar is resized, hidden, sorted", async () => {
        const width = async () => (await page.locator("#side").boundingBox())
            .width;
        const before = await width();
        await page.focus("#divider");
        await page.keyboard.press("ArrowLeft");
        await page.keyboard.press("ArrowLeft");
        assert.strictEqual(await width(), before + 40);
        await page.focus("#graph");
        await page.keyboard.press("b");
        assert(!await page.locator("#side").isVisible());
        await page.keyboard.press("b");
        for (const key of ["name", "total", "self"]) {
            await page.click("#by-" + key);
            assert.notStrictEqual(await page.locator("#by-" + key)
                .evaluate((b) => b.parentElement.getAttribute("aria-sort")),
            null);
        }
    });
}

async function looks(browser, folder) {
    for (const colorScheme of ["light", "dark"]) {
        const page = await watched(browser, path.join(folder, "real.html"),
                                   {colorScheme});
        await check("accessible in " + colorScheme, async () => {
            await page.locator("#rows tr button").first().click();
            await picture(page, folder, "flamegraph-" + colorScheme);
            await accessible(page);
            await page.click("#theme");
            await accessible(page);
            await page.click("#help-button");
            await accessible(page);
        });
        quiet(page);
        await page.context().close();
    }
    const page = await watched(browser, path.join(folder, "real.html"),
                               {viewport: {width: 420, height: 800}});
    await check("fits a narrow window", async () => {
        await fits(page);
        await picture(page, folder, "flamegraph-narrow");
        await accessible(page);
    });
    await check("prints", async () => {
        const paper = await page.pdf({format: "A4", landscape: true});
        assert(paper.length > 5000);
    });
    quiet(page);
    await page.context().close();
}

async function comparing(browser, folder) {
    const page = await watched(browser, path.join(folder, "diff.html"));
    await check("a comparison has both profiles", async () => {
        const seen = await page.evaluate(() => {
            const {view, scaleBefore, model} = globalThis.pyprof;
            let gone = 0;
            for (let box = 1; box <= view.n; box++) {
                gone += view.before[box] === 0;
            }
            return {gone, scaleBefore, isDiff: model.isDiff};
        });
        assert.strictEqual(seen.isDiff, true);
        assert.strictEqual(seen.scaleBefore, 1);
        assert.match(await page.textContent("#legend"), /new/);
    });
    await check("shows what is gone, by shares and by time", async () => {
        await page.click("#widths button[value=gone]");
        await page.selectOption("#scale", "time");
        await page.click("#widths button[value=now]");
        await picture(page, folder, "flamegraph-diff");
        await accessible(page);
    });
    quiet(page);
    await page.context().close();
}

run(async (browser, folder) => {
    await numbers(browser, folder);
    await using(browser, folder);
    await looks(browser, folder);
    await comparing(browser, folder);
});

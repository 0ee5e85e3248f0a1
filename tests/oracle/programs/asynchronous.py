"""An asyncio program: tasks that wait for each other, and never sleep long.

    asynchronous.py TRUTH SECONDS
"""
import asyncio

import truth

run = truth.Truth(__file__)
run.entry("producer")
run.entry("consumer")
run.entry("parent")
run.entry("child")


def work(n):
    total = 0
    for i in range(n):
        total += i
    return total


async def child(n):
    work(n)  # -> work
    await asyncio.sleep(0)  # -> @
    work(n)  # -> work


async def parent():
    while run.going:
        await asyncio.gather(child(20), child(40), child(60))  # -> @ child
        await child(30)  # -> child


async def producer(queue):
    while run.going:
        await queue.put(work(25))  # -> work @
    await queue.put(None)  # -> @


async def consumer(queue):
    while await queue.get() is not None:  # -> @
        work(15)  # -> work


async def main():
    queue = asyncio.Queue(maxsize=4)  # -> @
    tasks = [parent()]  # -> parent
    tasks += [producer(queue)]  # -> producer
    tasks += [consumer(queue)]  # -> consumer
    run.ready()  # -> @
    await asyncio.gather(*tasks)  # -> @


run.entry("main")
asyncio.run(main())  # -> @ main
run.done()

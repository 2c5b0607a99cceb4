"""What the tiny base has read before it meets any reasoning: problems without
their solutions, sums, and questions of one single step. Never two steps in a row.

A document is a list of (text, learn): the numbers of a question cannot be
foreseen, so that only what follows from them is learned."""

import random
import re

PEOPLE = [("Mia", "She"), ("Ben", "He"), ("Lena", "She"), ("Omar", "He"), ("Anna", "She"), ("Tom", "He"),
          ("Zoe", "She"), ("Leo", "He"), ("Sara", "She"), ("Max", "He"), ("Nina", "She"), ("Paul", "He"),
          ("Ella", "She"), ("Sam", "He"), ("Ruth", "She"), ("Ivan", "He"), ("Clara", "She"), ("Hugo", "He"),
          ("Maya", "She"), ("Noah", "He"), ("Rosa", "She"), ("Felix", "He"), ("Iris", "She"), ("Karl", "He")]
THINGS = ["apples", "plums", "marbles", "stickers", "shells", "cards", "buttons", "stamps", "nuts", "coins", "beads",
          "pears"]
GOODS = ["pens", "books", "cups", "toys", "hats", "maps", "kites", "balls"]
FLOWERS = ["tulips", "roses", "lilies", "daisies", "poppies", "asters"]


def numbers(r, op):
    """Two numbers and the result of one easy step: below 100, without carry or
    borrow beyond the sums of two digits, as in problems.c."""
    if op in "*/":
        a, b = r.randint(2, 12), r.randint(2, 12)
        return (a, b, a * b) if op == "*" else (a * b, b, a)
    while True:
        a, b = r.randint(2, 97), r.randint(2, 97)
        if a + b < 100 and (a % 10 + b % 10 < 10 or (a < 10 and b < 10)):
            return (a, b, a + b) if op == "+" else (a + b, a, b)


def sums(r):
    """A few sums that have nothing to do with each other."""
    out = []
    for _ in range(r.randint(2, 5)):
        op = r.choice("++--*/")
        a, b, c = numbers(r, op)
        out += [(f"{a} {op} {b} =", False), (f" {c}.", True), ("\n", False)]
    return out[:-1]


def quotation(r, prompts):
    """A problem's text, and one of its sentences again."""
    text = r.choice(prompts)
    sentences = re.split(r"(?<=[.?]) ", text)
    n = r.randint(1, len(sentences))
    return [(f"{text}\nSentence {n}:", False), (f" {sentences[n - 1]}", True)]


def unrelated_fact(r):
    """A sentence that the question does not need."""
    name, thing, n = r.choice(PEOPLE)[0], r.choice(THINGS), r.randint(2, 97)
    return r.choice([f"{name} has {n} {thing}. ", f"{name} is {n} years old. ", f"{name} finds {n} {thing}. "])


def one_step_question(r):
    (name, they), (other, _) = r.sample(PEOPLE, 2)
    thing, good, flower = r.choice(THINGS), r.choice(GOODS), r.choice(FLOWERS)
    op = r.choice("++--**/")
    a, b, c = numbers(r, op)
    text, end = r.choice({
        "+": [
            (f"{name} has {a} {thing}. {they} finds {b} more {thing}. How many {thing} does {name} have now?", f"{name} has {c} {thing}."),
            (f"{name} picks {a} {thing} and {other} picks {b} {thing}. How many {thing} do they have together?", f"Together they have {c}."),
            (f"{name} is {a} years old. {other} is {b} years older than {name}. How old is {other}?", f"{other} is {c} years old."),
            (f"{name} is {a} years old. How old will {name} be in {b} years?", f"{name} will be {c} years old."),
            (f"{name} saved {a} dollars. {they} earns {b} dollars. How much money does {name} have now?", f"{name} has {c} dollars."),
            (f"A bus starts with {a} people. At the first stop {b} get on. How many people are on the bus now?", f"The bus has {c} people."),
        ],
        "-": [
            (f"{name} has {a} {thing}. {they} gives {b} {thing} to {other}. How many {thing} does {name} have now?", f"{name} has {c} {thing}."),
            (f"{name} starts with {a} {thing}. {they} loses {b} {thing}. How many {thing} are left?", f"The rest is {c} {thing}."),
            (f"A book has {a} pages. {name} reads {b} pages. How many pages are left?", f"The rest is {c} pages."),
            (f"{name} pays with {a} dollars for {b} dollars of {good}. How much money does {name} get back?", f"The money back is {c} dollars."),
            (f"{name} is {a} years old. {other} is {b} years younger than {name}. How old is {other}?", f"{other} is {c} years old."),
            (f"A bus starts with {a} people. At the first stop {b} get off. How many people are on the bus now?", f"The bus has {c} people."),
        ],
        "*": [
            (f"{name} buys {a} bags with {b} {thing} each. How many {thing} is that?", f"That is {c} {thing}."),
            (f"{name} buys {a} {good} for {b} dollars each. How much does {name} pay?", f"The price is {c} dollars."),
            (f"A garden has {a} rows of {b} {flower}. How many {flower} are there?", f"There are {c} {flower}."),
            (f"{name} rides {a} hours at {b} miles an hour. How many miles is that?", f"The way is {c} miles."),
            (f"{name} is {a} years old. {other} is {b} times as old as {name}. How old is {other}?", f"{other} is {c} years old."),
            (f"{name} has {a} {thing}. {other} has {b} times as many as {name}. How many {thing} does {other} have?", f"{other} has {c} {thing}."),
            (f"{name} reads {a} pages a day for {b} days. How many pages is that?", f"That is {c} pages."),
        ],
        "/": [
            (f"{name} puts {a} {thing} equally into {b} boxes. How many {thing} are in each box?", f"Each box has {c} {thing}."),
            (f"{name} reads {a} pages in {b} days, the same each day. How many pages a day is that?", f"That is {c} pages a day."),
        ],
    }[op])
    if r.random() < 0.3:
        text = unrelated_fact(r) + text
    return [(f"{text}\n", False), (f"{a} {op} {b} = {c}. {end}", True)]


def step_in_context(r):
    """A question of one step about a text that says more than the step needs."""
    (name, they), (other, _), (third, _) = r.sample(PEOPLE, 3)
    thing, goods, flowers = r.choice(THINGS), r.sample(GOODS, 2), r.sample(FLOWERS, 2)
    k, a, m, b = r.randint(2, 9), r.randint(2, 12), r.randint(2, 9), r.randint(2, 12)
    first = r.random() < 0.5
    x, y = (k, a) if first else (m, b)
    good, flower = (goods[0], flowers[0]) if first else (goods[1], flowers[1])
    p, q, s = numbers(r, "+")
    n, off, stay = numbers(r, "-")
    texts = [
        (f"{name} buys {k} {goods[0]} for {a} dollars each and {m} {goods[1]} for {b} dollars each. How much do the {good} cost?",
         f"The {good} cost {x} * {y} = {x * y}."),
        (f"A garden has {k} rows of {a} {flowers[0]} and {m} rows of {b} {flowers[1]}. How many {flower} are there?",
         f"{x} * {y} = {x * y} {flower}."),
        (f"{name} rides {k} hours at {a} miles an hour and walks {m} hours at {b} miles an hour. How many miles does {name} {'ride' if first else 'walk'}?",
         f"{'Riding' if first else 'Walking'}: {x} * {y} = {x * y} miles."),
        (f"{name} has {n} {thing}. {they} buys {k} bags with {a} {thing} each. How many {thing} are in the bags?",
         f"{k} bags with {a} each is {k} * {a} = {k * a}."),
        (f"{name} picks {p} {thing} and {other} picks {q} {thing}. They put them equally into {k} boxes. How many {thing} do they have together?",
         f"Together they have {p} + {q} = {s} {thing}."),
        (f"{name} is {a} years old. {other} is {k} times as old as {name}. {third} is {b} years older than {other}. How old is {other}?",
         f"{other} is {a} * {k} = {a * k}."),
        (f"{name} has {a} {thing}. {other} has {k} times as many as {name}. {third} has {b} more than {other}. How many {thing} does {other} have?",
         f"{other} has {a} * {k} = {a * k}."),
        (f"{name} is {a} years old. {other} is {p} years old. {third} is {q} years older than {other}. How old is {third}?",
         f"{third} is {p} + {q} = {s}."),
        (f"{name} is {a} years old. {other} is {n} years old. {third} is {off} years younger than {other}. How old is {third}?",
         f"{third} is {n} - {off} = {stay}."),
        (f"{name} earns {a} dollars an hour. {they} works {k} hours on Monday and {m} hours on Friday. How many hours does {name} work?",
         f"{k} + {m} = {k + m} hours."),
        (f"A book has {n} pages. {name} reads {a} pages a day for {k} days and then {b} pages on Sunday. How many pages does {name} read before Sunday?",
         f"{a} * {k} = {a * k} pages."),
        (f"A bus starts with {n} people. At the first stop {off} get off and {k} get on. How many people stay on the bus?",
         f"{n} - {off} = {stay}."),
        (f"{name} has {n} {thing}. {they} loses {off} {thing}. {they} finds {a} more {thing}. How many {thing} are left before {they.lower()} finds more?",
         f"{n} - {off} = {stay}."),
    ]
    question, step = r.choice(texts)
    return [(f"{question}\n", False), (step, True)]


def document(r, prompts):
    kind = r.random()
    if kind < 0.05:
        return [(r.choice(prompts), True)]
    if kind < 0.12:
        return quotation(r, prompts)
    if kind < 0.35:
        return sums(r)
    return one_step_question(r) if kind < 0.6 else step_in_context(r)


if __name__ == "__main__":
    rng = random.Random(0)
    for _ in range(10):
        print("".join(text for text, _ in document(rng, ["First a fact. Then a question?"])), end="\n\n")

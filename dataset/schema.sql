-- decant's corpus, version 2: its tables. views.sql has the views, schema_2.sql what version 2 brought.
-- docs/corpus.md has examples of questions to ask it.
-- Large texts stand last in their tables, so that reading the small columns does not read them.

-- What teachers are asked. text is canonical: LF line ends, no outer white space.
CREATE TABLE prompts (
    id         INTEGER PRIMARY KEY,
    gold       TEXT,                      -- the final answer that is right; NULL: not known
    source     TEXT,                      -- where the prompt came from, e.g. train.jsonl
    created_at TEXT NOT NULL,             -- UTC, ISO 8601, as everywhere below
    extra      TEXT,                      -- the source's other fields, a JSON object
    text       TEXT NOT NULL UNIQUE CHECK (text <> '')
) STRICT;

-- How a teacher is asked: everything that decides what it would say (teacher, sampling parameters,
-- max_tokens, chat form, system prompt, seed), as canonical JSON. Concurrency, limits and the number
-- of samples are no part of it.
CREATE TABLE requests (
    id         INTEGER PRIMARY KEY,
    teacher    TEXT NOT NULL,             -- json's "teacher", for grouping
    created_at TEXT NOT NULL,
    json       TEXT NOT NULL UNIQUE
) STRICT;

-- What a teacher said: one row a sample, never changed after it was written.
CREATE TABLE traces (
    id                  INTEGER PRIMARY KEY,
    prompt_id           INTEGER NOT NULL REFERENCES prompts (id),
    request_id          INTEGER NOT NULL REFERENCES requests (id),
    sample_index        INTEGER NOT NULL CHECK (sample_index >= 0), -- 0 .. samples - 1
    finish_reason       TEXT NOT NULL,    -- stop, length, content_filter, ...
    n_prompt_tokens     INTEGER,          -- NULL: not reported
    n_cached_tokens     INTEGER,          -- of the prompt's, those that a cache answered
    n_reasoning_tokens  INTEGER,
    n_completion_tokens INTEGER,          -- reasoning and answer
    cost_usd            REAL,
    latency_ms          REAL,
    seed                INTEGER,          -- the sample's own (a u64, stored with the same 64 bits)
    think_rule          TEXT,             -- which rule found the reasoning
    served_model        TEXT,             -- the model's name as the server returned it
    endpoint            TEXT,             -- base URL, never with a key; NULL: a local teacher
    created_at          TEXT NOT NULL,
    program             TEXT NOT NULL,    -- decant's version
    lossy               INTEGER NOT NULL CHECK (lossy IN (0, 1)), -- 1: bytes that are not UTF-8 were
                                                                  -- replaced by U+FFFD
    params              TEXT,             -- exactly what was sent, a JSON object
    extra               TEXT,             -- whatever else came with it, a JSON object
    answer              TEXT NOT NULL,    -- what follows the reasoning
    reasoning           TEXT NOT NULL,    -- the chain of thought, without its tags
    UNIQUE (prompt_id, request_id, sample_index)
) STRICT;

-- What checkers say of a trace. Verdicts mark and never delete; corpus verify recomputes them.
--   kind 'answer':  value correct, wrong or unknown; every checked trace has this row
--   other kinds:    truncated, refused, empty, no_think, repetition (corpus verify), duplicate, ...:
--                   value 'yes'; no row where it does not apply
CREATE TABLE verdicts (
    trace_id   INTEGER NOT NULL REFERENCES traces (id) ON DELETE CASCADE,
    kind       TEXT NOT NULL,
    value      TEXT NOT NULL CHECK (kind <> 'answer' OR value IN ('correct', 'wrong', 'unknown')),
    reason     TEXT,
    version    INTEGER NOT NULL,          -- of the checker
    created_at TEXT NOT NULL,
    PRIMARY KEY (trace_id, kind)
) STRICT, WITHOUT ROWID;

-- Log-probabilities of a trace's tokens, where they were asked for; format says how data is laid out.
CREATE TABLE logprobs (
    trace_id INTEGER PRIMARY KEY REFERENCES traces (id) ON DELETE CASCADE,
    format   TEXT NOT NULL,
    k        INTEGER NOT NULL CHECK (k > 0), -- candidates a token
    n_tokens INTEGER NOT NULL,
    data     BLOB NOT NULL
) STRICT;

-- The small columns of all traces, so that counting them does not read their texts.
CREATE INDEX traces_numbers ON traces (request_id, prompt_id, sample_index, n_prompt_tokens,
    n_cached_tokens, n_reasoning_tokens, n_completion_tokens, cost_usd, lossy);

-- What checkers say of a prompt (duplicate, contaminated, ...): it holds for all of its traces, those
-- to come included. value is 'yes'; no row where it does not apply.
CREATE TABLE prompt_verdicts (
    prompt_id  INTEGER NOT NULL REFERENCES prompts (id) ON DELETE CASCADE,
    kind       TEXT NOT NULL,
    value      TEXT NOT NULL,
    reason     TEXT,
    version    INTEGER NOT NULL,          -- of the checker
    created_at TEXT NOT NULL,
    PRIMARY KEY (prompt_id, kind)
) STRICT, WITHOUT ROWID;

-- Samples that were asked for and gave no trace, and what they cost all the same: one row a sample,
-- over all its tries. A row stays when a later try succeeds: its money is spent.
CREATE TABLE failures (
    id           INTEGER PRIMARY KEY,
    prompt_id    INTEGER NOT NULL REFERENCES prompts (id),
    request_id   INTEGER NOT NULL REFERENCES requests (id),
    sample_index INTEGER NOT NULL CHECK (sample_index >= 0),
    endpoint     TEXT,                    -- of the last try: base URL, never with a key
    status       INTEGER,                 -- of the last try: HTTP status; NULL: none came
    message      TEXT NOT NULL,           -- of the last try
    n_tries      INTEGER NOT NULL,        -- all of them
    cost_usd     REAL,                    -- of the tries that gave no trace; NULL: not known
    created_at   TEXT NOT NULL,           -- of the first row
    updated_at   TEXT NOT NULL,           -- of the last try
    answer       TEXT NOT NULL,           -- the longest text that came before a try broke off
    reasoning    TEXT NOT NULL,
    UNIQUE (prompt_id, request_id, sample_index)
) STRICT;

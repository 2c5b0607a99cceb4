-- From version 1 to version 2; the same as in schema.sql. The views are made anew after it.

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

-- decant's corpus, version 1. docs/corpus.md has examples of questions to ask it.
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
--   other kinds:    truncated, no_think, repetition, ...: value 'yes'; no row where it does not apply
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

-- Everything about a trace in one row. This is what --select conditions are written against.
CREATE VIEW v_traces AS
SELECT t.id, t.prompt_id, t.request_id, t.sample_index,
       p.text AS prompt, p.gold, p.source, r.teacher, r.json AS request,
       t.reasoning, t.answer, t.finish_reason,
       t.n_prompt_tokens, t.n_cached_tokens, t.n_reasoning_tokens, t.n_completion_tokens,
       t.cost_usd, t.latency_ms, t.seed, t.think_rule, t.served_model, t.endpoint,
       t.created_at, t.program, t.lossy, t.params, t.extra,
       a.value AS verdict, a.reason AS verdict_reason, -- NULL: not checked
       EXISTS (SELECT 1 FROM verdicts v WHERE v.trace_id = t.id AND v.kind = 'truncated') AS truncated,
       EXISTS (SELECT 1 FROM verdicts v WHERE v.trace_id = t.id AND v.kind = 'no_think') AS no_think,
       EXISTS (SELECT 1 FROM verdicts v WHERE v.trace_id = t.id AND v.kind = 'repetition') AS repetition,
       (SELECT count(*) FROM verdicts v WHERE v.trace_id = t.id AND v.kind <> 'answer') AS n_marks,
       -- right, and nothing is marked against it: what --select correct takes
       a.value IS 'correct' AND NOT EXISTS (
           SELECT 1 FROM verdicts v WHERE v.trace_id = t.id AND v.kind <> 'answer') AS good,
       -- of this prompt's checked traces with this request, the share that is correct
       (SELECT avg(v.value = 'correct') FROM traces o
            JOIN verdicts v ON v.trace_id = o.id AND v.kind = 'answer'
            WHERE o.prompt_id = t.prompt_id AND o.request_id = t.request_id) AS pass_rate
FROM traces t
JOIN prompts p ON p.id = t.prompt_id
JOIN requests r ON r.id = t.request_id
LEFT JOIN verdicts a ON a.trace_id = t.id AND a.kind = 'answer';

-- Prompts with how well they were answered, over all requests.
CREATE VIEW v_prompts AS
SELECT p.id, p.text, p.gold, p.source,
       count(t.id) AS n_traces,
       coalesce(sum(a.value = 'correct'), 0) AS n_correct,
       avg(a.value = 'correct') AS pass_rate
FROM prompts p
LEFT JOIN traces t ON t.prompt_id = p.id
LEFT JOIN verdicts a ON a.trace_id = t.id AND a.kind = 'answer'
GROUP BY p.id;

-- Requests with what came of them.
CREATE VIEW v_requests AS
SELECT r.id, r.teacher, r.json,
       count(t.id) AS n_traces,
       count(DISTINCT t.prompt_id) AS n_prompts,
       coalesce(sum(a.value = 'correct'), 0) AS n_correct,
       coalesce(sum(a.value = 'wrong'), 0) AS n_wrong,
       coalesce(sum(a.value = 'unknown'), 0) AS n_unknown,
       coalesce(sum(t.n_prompt_tokens), 0) AS n_prompt_tokens,
       coalesce(sum(t.n_completion_tokens), 0) AS n_completion_tokens,
       sum(t.cost_usd) AS cost_usd
FROM requests r
LEFT JOIN traces t ON t.request_id = r.id
LEFT JOIN verdicts a ON a.trace_id = t.id AND a.kind = 'answer'
GROUP BY r.id;

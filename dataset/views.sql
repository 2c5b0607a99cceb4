-- The views of a corpus, made anew whenever its version changes.

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
       EXISTS (SELECT 1 FROM verdicts v WHERE v.trace_id = t.id AND v.kind = 'refused') AS refused,
       EXISTS (SELECT 1 FROM verdicts v WHERE v.trace_id = t.id AND v.kind = 'empty') AS empty,
       EXISTS (SELECT 1 FROM verdicts v WHERE v.trace_id = t.id AND v.kind = 'no_think') AS no_think,
       EXISTS (SELECT 1 FROM verdicts v WHERE v.trace_id = t.id AND v.kind = 'repetition') AS repetition,
       -- every kind that is marked against the trace or its prompt, e.g. 'no_think,truncated'; NULL: none
       (SELECT group_concat(kind) FROM (
            SELECT v.kind FROM verdicts v WHERE v.trace_id = t.id AND v.kind <> 'answer'
            UNION SELECT m.kind FROM prompt_verdicts m WHERE m.prompt_id = t.prompt_id)) AS marks,
       (SELECT count(*) FROM verdicts v WHERE v.trace_id = t.id AND v.kind <> 'answer') +
       (SELECT count(*) FROM prompt_verdicts m WHERE m.prompt_id = t.prompt_id) AS n_marks,
       -- right, and nothing is marked against it or its prompt: what --select correct takes
       a.value IS 'correct'
           AND NOT EXISTS (SELECT 1 FROM verdicts v WHERE v.trace_id = t.id AND v.kind <> 'answer')
           AND NOT EXISTS (SELECT 1 FROM prompt_verdicts m WHERE m.prompt_id = t.prompt_id) AS good,
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
       (SELECT group_concat(m.kind) FROM prompt_verdicts m WHERE m.prompt_id = p.id) AS marks,
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
       sum(t.cost_usd) AS cost_usd, -- of the traces
       (SELECT count(*) FROM failures f WHERE f.request_id = r.id) AS n_failures,
       (SELECT sum(f.cost_usd) FROM failures f WHERE f.request_id = r.id) AS failed_cost_usd
FROM requests r
LEFT JOIN traces t ON t.request_id = r.id
LEFT JOIN verdicts a ON a.trace_id = t.id AND a.kind = 'answer'
GROUP BY r.id;

-- Samples that gave no trace; made is 1 when a later try did.
CREATE VIEW v_failures AS
SELECT f.id, f.prompt_id, f.request_id, f.sample_index, p.text AS prompt, r.teacher,
       r.json AS request, f.endpoint, f.status, f.message, f.n_tries, f.cost_usd, f.created_at,
       f.updated_at, f.reasoning, f.answer,
       EXISTS (SELECT 1 FROM traces t WHERE t.prompt_id = f.prompt_id AND
               t.request_id = f.request_id AND t.sample_index = f.sample_index) AS made
FROM failures f
JOIN prompts p ON p.id = f.prompt_id
JOIN requests r ON r.id = f.request_id;

-- What the jobs page finds by an index: jobs that came at a time, jobs of a task or a queue, and jobs
-- with some words in their arguments.

-- Which words the jobs of a block have: blocks of a thousand ids, one line each. An index entry for
-- each word of each job would cost more than running the job does; here the jobs of a block share
-- it, workers write it a minute or two later, and who looks for a word reads the blocks that have it.
CREATE TABLE job_words (
    block bigint PRIMARY KEY,               -- the jobs' ids, divided by a thousand
    words text[] NOT NULL                   -- of arguments; tasks and queues, whole
);
CREATE INDEX job_words_words ON job_words USING gin (words);

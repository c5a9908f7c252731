-- Addresses that people's own programs listen at, and what was sent there. (A webhook's secret is derived
-- from its id and the installation's secret.)
CREATE TABLE webhooks (
    id uuid PRIMARY KEY,
    user_id bigint NOT NULL REFERENCES users ON DELETE CASCADE,
    url text NOT NULL,
    events text[] NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    failing_since timestamptz,                  -- NULL: the last attempt succeeded
    disabled_at timestamptz,
    UNIQUE (user_id, url)
);

CREATE TABLE webhook_deliveries (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    webhook_id uuid NOT NULL REFERENCES webhooks ON DELETE CASCADE,
    user_id bigint NOT NULL REFERENCES users ON DELETE CASCADE,
    event text NOT NULL,
    subject text NOT NULL,                      -- the activity's id, the export's, the report's month
    state text NOT NULL DEFAULT 'queued' CHECK (state IN ('queued', 'delivered', 'failed')),
    attempts integer NOT NULL DEFAULT 0,
    answer text,                                -- to the last attempt
    created_at timestamptz NOT NULL DEFAULT now(),
    finished_at timestamptz
);
CREATE INDEX webhook_deliveries_queued ON webhook_deliveries (webhook_id) WHERE state = 'queued';
CREATE INDEX webhook_deliveries_webhook ON webhook_deliveries (webhook_id);
CREATE INDEX webhook_deliveries_user ON webhook_deliveries (user_id, created_at DESC);
CREATE INDEX webhook_deliveries_created ON webhook_deliveries (created_at);

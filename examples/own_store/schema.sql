-- A token is a row of JSON, and beside it what steps look for.
CREATE TABLE IF NOT EXISTS api_tokens (
    id bytea PRIMARY KEY,
    owner text COLLATE "C" NOT NULL,
    parent bytea,
    token jsonb NOT NULL
);
CREATE INDEX IF NOT EXISTS api_tokens_by_owner ON api_tokens (owner);
CREATE INDEX IF NOT EXISTS api_tokens_by_parent ON api_tokens (parent) WHERE parent IS NOT NULL;

CREATE TABLE IF NOT EXISTS api_token_keys (
    key_id text COLLATE "C" PRIMARY KEY,
    fingerprint bytea NOT NULL
);

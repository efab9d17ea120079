-- Every statement may be run again: a schema that was migrated by hand comes out the same.

CREATE TABLE IF NOT EXISTS keyfob_migrations (
    version bigint NOT NULL PRIMARY KEY,
    applied_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE IF NOT EXISTS keyfob_tokens (
    id uuid NOT NULL PRIMARY KEY,
    prefix text COLLATE "C" NOT NULL,
    owner text COLLATE "C" NOT NULL,
    created_by text COLLATE "C",
    name text COLLATE "C" NOT NULL,
    digest bytea NOT NULL CHECK (octet_length(digest) = 32),
    digest_key text COLLATE "C",
    generation bigint NOT NULL,
    rotated_at bigint,
    first_used_at bigint,
    previous_digest bytea CHECK (octet_length(previous_digest) = 32),
    previous_digest_key text COLLATE "C",
    previous_ends_at bigint,
    previous_ends_on_first_use boolean NOT NULL,
    previous_may_ask_again boolean NOT NULL,
    abilities text COLLATE "C" NOT NULL,
    created_at bigint NOT NULL,
    expires_at bigint,
    not_before bigint,
    idle_seconds bigint,
    last_used_at bigint,
    last_used_from text COLLATE "C",
    suspended_since bigint,
    suspended_until bigint,
    suspended_reason text COLLATE "C",
    revoked_at bigint,
    revoked_by text COLLATE "C",
    revoked_reason text COLLATE "C",
    parent uuid,
    allowed_addresses text COLLATE "C",
    rate_limit_requests bigint,
    rate_limit_seconds bigint,
    metadata text COLLATE "C",
    notices text COLLATE "C" NOT NULL,
    used_abilities text COLLATE "C" NOT NULL DEFAULT '',
    idempotency_key text COLLATE "C",
    ends_at bigint GENERATED ALWAYS AS (least(revoked_at, expires_at)) STORED
) WITH (fillfactor = 85);

CREATE INDEX IF NOT EXISTS keyfob_tokens_by_owner
    ON keyfob_tokens (owner, id, revoked_at);

CREATE INDEX IF NOT EXISTS keyfob_tokens_by_name
    ON keyfob_tokens (owner, name, id) WHERE revoked_at IS NULL;

CREATE UNIQUE INDEX IF NOT EXISTS keyfob_tokens_by_idempotency_key
    ON keyfob_tokens (owner, idempotency_key) WHERE idempotency_key IS NOT NULL;

CREATE INDEX IF NOT EXISTS keyfob_tokens_by_expiry
    ON keyfob_tokens (expires_at, id) WHERE revoked_at IS NULL AND expires_at IS NOT NULL;

CREATE INDEX IF NOT EXISTS keyfob_tokens_by_end
    ON keyfob_tokens (ends_at) WHERE ends_at IS NOT NULL;

CREATE INDEX IF NOT EXISTS keyfob_tokens_by_parent
    ON keyfob_tokens (parent, id) WHERE parent IS NOT NULL;

CREATE INDEX IF NOT EXISTS keyfob_tokens_by_key
    ON keyfob_tokens (digest_key) WHERE revoked_at IS NULL;

CREATE INDEX IF NOT EXISTS keyfob_tokens_by_previous_key
    ON keyfob_tokens (previous_digest_key) WHERE revoked_at IS NULL AND previous_digest IS NOT NULL;

-- Whoever decides over the names or the number of an owner's tokens holds his row meanwhile.
CREATE TABLE IF NOT EXISTS keyfob_owners (
    owner text COLLATE "C" NOT NULL PRIMARY KEY,
    changes bigint NOT NULL
);

CREATE TABLE IF NOT EXISTS keyfob_canaries (
    key_id text COLLATE "C" NOT NULL PRIMARY KEY,
    canary bytea NOT NULL CHECK (octet_length(canary) = 32)
);

-- For people: instants as text, and nothing that a secret was hashed to.
CREATE OR REPLACE VIEW keyfob_tokens_readable AS
SELECT
    id,
    prefix,
    owner,
    created_by,
    name,
    digest_key,
    generation,
    to_timestamp(rotated_at) AS rotated_at,
    to_timestamp(first_used_at) AS first_used_at,
    previous_digest_key,
    to_timestamp(previous_ends_at) AS previous_ends_at,
    previous_ends_on_first_use,
    previous_may_ask_again,
    abilities,
    to_timestamp(created_at) AS created_at,
    to_timestamp(expires_at) AS expires_at,
    to_timestamp(not_before) AS not_before,
    idle_seconds,
    to_timestamp(last_used_at) AS last_used_at,
    last_used_from,
    to_timestamp(suspended_since) AS suspended_since,
    to_timestamp(suspended_until) AS suspended_until,
    suspended_reason,
    to_timestamp(revoked_at) AS revoked_at,
    revoked_by,
    revoked_reason,
    parent,
    allowed_addresses,
    rate_limit_requests,
    rate_limit_seconds,
    metadata,
    notices,
    used_abilities,
    idempotency_key
FROM keyfob_tokens;

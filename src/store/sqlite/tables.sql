-- The tables of version 2. Every statement may be run again: a database that was migrated by hand, or halfway, comes
-- out the same. Tables of version 1 are left alone: opening a store migrates them.

CREATE TABLE IF NOT EXISTS keyfob_migrations (
    version INTEGER PRIMARY KEY,
    applied_at INTEGER NOT NULL DEFAULT (unixepoch())
) STRICT;

-- Without rowid, looking a token up by its id is one descent of one tree and not two.
CREATE TABLE IF NOT EXISTS keyfob_tokens (
    id BLOB NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    prefix TEXT NOT NULL,
    owner TEXT NOT NULL COLLATE BINARY,
    created_by TEXT,
    name TEXT NOT NULL COLLATE BINARY,
    digest BLOB NOT NULL CHECK (length(digest) = 32),
    digest_key TEXT,
    generation INTEGER NOT NULL,
    rotated_at INTEGER,
    first_used_at INTEGER,
    previous_digest BLOB CHECK (length(previous_digest) = 32),
    previous_digest_key TEXT,
    previous_ends_at INTEGER,
    previous_ends_on_first_use INTEGER NOT NULL CHECK (previous_ends_on_first_use IN (0, 1)),
    previous_may_ask_again INTEGER NOT NULL CHECK (previous_may_ask_again IN (0, 1)),
    abilities TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER,
    not_before INTEGER,
    idle_seconds INTEGER,
    last_used_at INTEGER,
    last_used_from TEXT,
    suspended_since INTEGER,
    suspended_until INTEGER,
    suspended_reason TEXT,
    revoked_at INTEGER,
    revoked_by TEXT,
    revoked_reason TEXT,
    parent BLOB CHECK (length(parent) = 16),
    allowed_addresses TEXT,
    rate_limit_requests INTEGER,
    rate_limit_seconds INTEGER,
    metadata TEXT,
    notices TEXT NOT NULL,
    used_abilities TEXT NOT NULL DEFAULT '',
    idempotency_key TEXT,
    version INTEGER,
    -- The name in lowercase, as Rust has it. It is looked in for a part of a name.
    name_folded TEXT,
    -- When the token ended for good, or will.
    ends_at INTEGER GENERATED ALWAYS AS
        (min(coalesce(revoked_at, expires_at), coalesce(expires_at, revoked_at))) VIRTUAL
) STRICT, WITHOUT ROWID;

CREATE INDEX IF NOT EXISTS keyfob_tokens_by_owner_creation
    ON keyfob_tokens (owner, created_at, id, revoked_at);

CREATE INDEX IF NOT EXISTS keyfob_tokens_by_creation
    ON keyfob_tokens (created_at, id);

-- What follows the id lets the limit of an owner and the digests of a key be counted in this index alone. A previous
-- digest is there to tell one without a key from none.
CREATE INDEX IF NOT EXISTS keyfob_tokens_by_name
    ON keyfob_tokens (owner, name, id, revoked_at, digest_key, previous_digest_key, previous_digest)
    WHERE revoked_at IS NULL;

CREATE UNIQUE INDEX IF NOT EXISTS keyfob_tokens_by_idempotency_key
    ON keyfob_tokens (owner, idempotency_key) WHERE idempotency_key IS NOT NULL;

CREATE INDEX IF NOT EXISTS keyfob_tokens_by_expiry
    ON keyfob_tokens (expires_at, id, revoked_at) WHERE expires_at IS NOT NULL;

CREATE INDEX IF NOT EXISTS keyfob_tokens_by_end
    ON keyfob_tokens (ends_at) WHERE ends_at IS NOT NULL;

CREATE INDEX IF NOT EXISTS keyfob_tokens_by_parent
    ON keyfob_tokens (parent) WHERE parent IS NOT NULL;

CREATE TABLE IF NOT EXISTS keyfob_canaries (
    key TEXT NOT NULL PRIMARY KEY COLLATE BINARY,
    canary BLOB NOT NULL CHECK (length(canary) = 32)
) STRICT, WITHOUT ROWID;

-- For people: instants as text, and nothing that a secret was hashed to.
CREATE VIEW IF NOT EXISTS keyfob_tokens_readable AS
SELECT
    lower(hex(id)) AS id,
    prefix,
    owner,
    created_by,
    name,
    digest_key,
    generation,
    strftime('%Y-%m-%dT%H:%M:%SZ', rotated_at, 'unixepoch') AS rotated_at,
    strftime('%Y-%m-%dT%H:%M:%SZ', first_used_at, 'unixepoch') AS first_used_at,
    previous_digest_key,
    strftime('%Y-%m-%dT%H:%M:%SZ', previous_ends_at, 'unixepoch') AS previous_ends_at,
    previous_ends_on_first_use,
    previous_may_ask_again,
    abilities,
    strftime('%Y-%m-%dT%H:%M:%SZ', created_at, 'unixepoch') AS created_at,
    strftime('%Y-%m-%dT%H:%M:%SZ', expires_at, 'unixepoch') AS expires_at,
    strftime('%Y-%m-%dT%H:%M:%SZ', not_before, 'unixepoch') AS not_before,
    idle_seconds,
    strftime('%Y-%m-%dT%H:%M:%SZ', last_used_at, 'unixepoch') AS last_used_at,
    last_used_from,
    strftime('%Y-%m-%dT%H:%M:%SZ', suspended_since, 'unixepoch') AS suspended_since,
    strftime('%Y-%m-%dT%H:%M:%SZ', suspended_until, 'unixepoch') AS suspended_until,
    suspended_reason,
    strftime('%Y-%m-%dT%H:%M:%SZ', revoked_at, 'unixepoch') AS revoked_at,
    revoked_by,
    revoked_reason,
    nullif(lower(hex(parent)), '') AS parent,
    allowed_addresses,
    rate_limit_requests,
    rate_limit_seconds,
    metadata,
    notices,
    used_abilities,
    idempotency_key
FROM keyfob_tokens;

INSERT INTO keyfob_migrations (version)
SELECT column1 FROM (VALUES (1), (2))
    WHERE EXISTS (SELECT 1 FROM pragma_table_info('keyfob_tokens') WHERE name = 'version')
ON CONFLICT DO NOTHING;

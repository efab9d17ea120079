-- Brings the tables of version 1 to version 2, once. New columns are nullable, so that a process of the version before
-- can still write.

ALTER TABLE keyfob_tokens ADD COLUMN version INTEGER;

-- The name in lowercase, as Rust has it. It is looked in for a part of a name.
ALTER TABLE keyfob_tokens ADD COLUMN name_folded TEXT;

-- When the token ended for good, or will.
ALTER TABLE keyfob_tokens ADD COLUMN ends_at INTEGER GENERATED ALWAYS AS
    (min(coalesce(revoked_at, expires_at), coalesce(expires_at, revoked_at))) VIRTUAL;

CREATE INDEX keyfob_tokens_by_end
    ON keyfob_tokens (ends_at) WHERE ends_at IS NOT NULL;

CREATE INDEX keyfob_tokens_by_owner_creation
    ON keyfob_tokens (owner, created_at, id, revoked_at);

CREATE INDEX keyfob_tokens_by_creation
    ON keyfob_tokens (created_at, id);

DROP INDEX keyfob_tokens_by_owner;

DROP INDEX keyfob_tokens_by_revocation;

-- Each use would be written to it.
DROP INDEX keyfob_tokens_by_last_use;

INSERT INTO keyfob_migrations (version) VALUES (2);

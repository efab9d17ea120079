-- Every statement may be run again. Columns are nullable, so that a node of the version before can still write.

ALTER TABLE keyfob_tokens ADD COLUMN IF NOT EXISTS version bigint;

-- The name in lowercase, as Rust has it. It is looked in for a part of a name.
ALTER TABLE keyfob_tokens ADD COLUMN IF NOT EXISTS name_folded text COLLATE "C";

CREATE INDEX IF NOT EXISTS keyfob_tokens_by_owner_creation
    ON keyfob_tokens (owner, created_at, id, revoked_at);

CREATE INDEX IF NOT EXISTS keyfob_tokens_by_creation
    ON keyfob_tokens (created_at, id);

DROP INDEX IF EXISTS keyfob_tokens_by_owner;

-- Every statement may be run again: tables that were made by hand, or half made, come out the same.
-- What is compared is bytes, so that no collation takes two for one; every column has room for what keyfob allows.

CREATE TABLE IF NOT EXISTS `{prefix}migrations` (
    version BIGINT NOT NULL PRIMARY KEY,
    applied_at TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP
) ENGINE = InnoDB;

CREATE TABLE IF NOT EXISTS `{prefix}tokens` (
    id BINARY(16) NOT NULL PRIMARY KEY,
    prefix VARBINARY(32) NOT NULL,
    owner VARBINARY(255) NOT NULL,
    created_by VARBINARY(255),
    name VARBINARY(400) NOT NULL,
    digest BINARY(32) NOT NULL,
    digest_key VARBINARY(32),
    generation BIGINT NOT NULL,
    rotated_at BIGINT,
    first_used_at BIGINT,
    previous_digest BINARY(32),
    previous_digest_key VARBINARY(32),
    previous_ends_at BIGINT,
    previous_ends_on_first_use TINYINT NOT NULL,
    previous_may_ask_again TINYINT NOT NULL,
    abilities MEDIUMBLOB NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT,
    not_before BIGINT,
    idle_seconds BIGINT,
    last_used_at BIGINT,
    last_used_from VARBINARY(64),
    suspended_since BIGINT,
    suspended_until BIGINT,
    suspended_reason VARBINARY(255),
    revoked_at BIGINT,
    revoked_by VARBINARY(255),
    revoked_reason VARBINARY(255),
    parent BINARY(16),
    allowed_addresses MEDIUMBLOB,
    rate_limit_requests BIGINT,
    rate_limit_seconds BIGINT,
    metadata MEDIUMBLOB,
    notices MEDIUMBLOB NOT NULL,
    used_abilities MEDIUMBLOB NOT NULL,
    idempotency_key VARBINARY(255),
    ends_at BIGINT GENERATED ALWAYS AS (
        LEAST(COALESCE(revoked_at, expires_at), COALESCE(expires_at, revoked_at))
    ) STORED,
    INDEX by_owner (owner, id),
    INDEX by_name (owner, name, id),
    UNIQUE INDEX by_idempotency_key (owner, idempotency_key),
    INDEX by_expiry (revoked_at, expires_at, id),
    INDEX by_end (ends_at),
    INDEX by_parent (parent, id),
    INDEX by_key (digest_key, revoked_at),
    INDEX by_previous_key (previous_digest, previous_digest_key, revoked_at)
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC;

-- Whoever decides over the names or the number of an owner's tokens holds his row meanwhile.
CREATE TABLE IF NOT EXISTS `{prefix}owners` (
    owner VARBINARY(255) NOT NULL PRIMARY KEY,
    changes BIGINT NOT NULL
) ENGINE = InnoDB;

CREATE TABLE IF NOT EXISTS `{prefix}canaries` (
    key_id VARBINARY(32) NOT NULL PRIMARY KEY,
    canary BINARY(32) NOT NULL
) ENGINE = InnoDB;

-- For people: texts as such, instants in UTC, and nothing that a secret was hashed to.
CREATE OR REPLACE SQL SECURITY INVOKER VIEW `{prefix}tokens_readable` AS
SELECT
    LOWER(HEX(id)) AS id,
    CONVERT(prefix USING utf8mb4) AS prefix,
    CONVERT(owner USING utf8mb4) AS owner,
    CONVERT(created_by USING utf8mb4) AS created_by,
    CONVERT(name USING utf8mb4) AS name,
    CONVERT(digest_key USING utf8mb4) AS digest_key,
    generation,
    TIMESTAMP '1970-01-01 00:00:00' + INTERVAL rotated_at SECOND AS rotated_at,
    TIMESTAMP '1970-01-01 00:00:00' + INTERVAL first_used_at SECOND AS first_used_at,
    CONVERT(previous_digest_key USING utf8mb4) AS previous_digest_key,
    TIMESTAMP '1970-01-01 00:00:00' + INTERVAL previous_ends_at SECOND AS previous_ends_at,
    previous_ends_on_first_use,
    previous_may_ask_again,
    CONVERT(abilities USING utf8mb4) AS abilities,
    TIMESTAMP '1970-01-01 00:00:00' + INTERVAL created_at SECOND AS created_at,
    TIMESTAMP '1970-01-01 00:00:00' + INTERVAL expires_at SECOND AS expires_at,
    TIMESTAMP '1970-01-01 00:00:00' + INTERVAL not_before SECOND AS not_before,
    idle_seconds,
    TIMESTAMP '1970-01-01 00:00:00' + INTERVAL last_used_at SECOND AS last_used_at,
    CONVERT(last_used_from USING utf8mb4) AS last_used_from,
    TIMESTAMP '1970-01-01 00:00:00' + INTERVAL suspended_since SECOND AS suspended_since,
    TIMESTAMP '1970-01-01 00:00:00' + INTERVAL suspended_until SECOND AS suspended_until,
    CONVERT(suspended_reason USING utf8mb4) AS suspended_reason,
    TIMESTAMP '1970-01-01 00:00:00' + INTERVAL revoked_at SECOND AS revoked_at,
    CONVERT(revoked_by USING utf8mb4) AS revoked_by,
    CONVERT(revoked_reason USING utf8mb4) AS revoked_reason,
    LOWER(HEX(parent)) AS parent,
    CONVERT(allowed_addresses USING utf8mb4) AS allowed_addresses,
    rate_limit_requests,
    rate_limit_seconds,
    CONVERT(metadata USING utf8mb4) AS metadata,
    CONVERT(notices USING utf8mb4) AS notices,
    CONVERT(used_abilities USING utf8mb4) AS used_abilities,
    CONVERT(idempotency_key USING utf8mb4) AS idempotency_key
FROM `{prefix}tokens`;

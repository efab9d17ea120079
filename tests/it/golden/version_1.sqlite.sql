PRAGMA foreign_keys=OFF;
BEGIN TRANSACTION;
CREATE TABLE keyfob_migrations (
    version INTEGER PRIMARY KEY,
    applied_at INTEGER NOT NULL DEFAULT (unixepoch())
) STRICT;
INSERT INTO keyfob_migrations VALUES(1,1796007649);
CREATE TABLE keyfob_tokens (
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
    idempotency_key TEXT
) STRICT, WITHOUT ROWID;
INSERT INTO keyfob_tokens VALUES(X'019e704488007000b76e6118130a0d04','acme','user:42',NULL,'plain',X'c0cbd2d0488fff311fa172348a3f69d4e909f9a0a86500fc10bd85e97ea8d320','2026',0,NULL,NULL,NULL,NULL,NULL,0,0,'servers:read',1780000000,NULL,NULL,NULL,1780007270,'192.0.2.1',NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'','',NULL);
INSERT INTO keyfob_tokens VALUES(X'019e7044af1070009609003b32352c27','acme','user:42',NULL,'ÄRZTE und Straße',X'e78effeb28624c06e558dfec558839c25ebe0eccac4b1fa96a8d8d0c00527e5a','2026',0,NULL,NULL,NULL,NULL,NULL,0,0,'servers:read',1780000010,NULL,NULL,NULL,1780007270,'192.0.2.1',NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'','',NULL);
INSERT INTO keyfob_tokens VALUES(X'019e7044d6207000b12823daddd4cfc6','acme','user:42',NULL,'İstanbul',X'11d68a94a0ad88bc8a36749ec0cfd9deab06ef8bf3b497a96b12658ed3f9b269','2026',0,NULL,NULL,NULL,NULL,NULL,0,0,'servers:read',1780000020,NULL,NULL,NULL,1780007270,'192.0.2.1',NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'','',NULL);
INSERT INTO keyfob_tokens VALUES(X'019e7044fd30700090cbc2c5fcf7eee1','acme','user:42',NULL,'Revoked',X'a3f0690d973d877956f13a9609d603ee3e45638ce7e2b89501252d89633b0242','2026',0,NULL,NULL,NULL,NULL,NULL,0,0,'servers:read',1780000030,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,1780000040,'admin:1','stolen',NULL,NULL,NULL,NULL,NULL,'','',NULL);
INSERT INTO keyfob_tokens VALUES(X'019e704524407000b3eaede49f968980','acme','user:42',NULL,'Expired',X'a8893006e54fb4215cda9adef7618d917efb59b03df2337dfb99f23b140eec04','2026',0,NULL,NULL,NULL,NULL,NULL,0,0,'servers:read',1780000040,1780003640,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'','',NULL);
INSERT INTO keyfob_tokens VALUES(X'019e70454b50700092958c87beb1a8a3','acme','user:42',NULL,'Suspended',X'640740cf820bfcad85960f106154a72ee465396cbfd44960d1948351acbda267','2026',0,NULL,NULL,NULL,NULL,NULL,0,0,'servers:read',1780000050,NULL,NULL,NULL,NULL,NULL,1780000060,NULL,'stolen',NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'','',NULL);
INSERT INTO keyfob_tokens VALUES(X'019e704572607000bdb4afa659504b42','acme','user:42',NULL,'Rotated',X'7f780294e76543660619c459085dda11760b784c5eccbf622767ec7dcb99076c','2026',1,1780000070,1780007270,X'b6ff1eea25deabdbf3c7f09d5c0269814201bbbb127c2f157d765fd6003844fd','2026',1780172870,0,0,'servers:read',1780000060,NULL,NULL,NULL,1780007270,'192.0.2.1',NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'','',NULL);
INSERT INTO keyfob_tokens VALUES(X'019e704599707000bf7669601b12150c','acme','project:"7"\é','admin:7','full',X'e1858bc2552134c597499c525471e08425470d13ae3406208eaca132ba959389','2026',0,NULL,NULL,NULL,NULL,NULL,0,0,'servers:read tokens:issue',1780000070,1814560070,1780000000,7776000,1780007270,'192.0.2.1',NULL,NULL,NULL,NULL,NULL,NULL,NULL,'192.0.2.0/24',60,3600,'{"a":[1,2.5,"\"b\""]}','','servers:read tokens:issue','once');
INSERT INTO keyfob_tokens VALUES(X'019e7045997070019e1108033a3d342f','acme','project:"7"\é',NULL,'child',X'a2eaa18bd289a387802afc5509b4b09b069c51d1a0519221a4e3ce1d45d70123','2026',0,NULL,NULL,NULL,NULL,NULL,0,0,'servers:read',1780000070,1814560070,NULL,7776000,1780007270,'192.0.2.1',NULL,NULL,NULL,NULL,NULL,NULL,X'019e704599707000bf7669601b12150c','192.0.2.0/24',60,3600,NULL,'','',NULL);
CREATE TABLE keyfob_canaries (
    key TEXT NOT NULL PRIMARY KEY COLLATE BINARY,
    canary BLOB NOT NULL CHECK (length(canary) = 32)
) STRICT, WITHOUT ROWID;
CREATE INDEX keyfob_tokens_by_owner
    ON keyfob_tokens (owner, id, revoked_at);
CREATE INDEX keyfob_tokens_by_name
    ON keyfob_tokens (owner, name, id, revoked_at, digest_key, previous_digest_key, previous_digest)
    WHERE revoked_at IS NULL;
CREATE UNIQUE INDEX keyfob_tokens_by_idempotency_key
    ON keyfob_tokens (owner, idempotency_key) WHERE idempotency_key IS NOT NULL;
CREATE INDEX keyfob_tokens_by_last_use
    ON keyfob_tokens (last_used_at, id, created_at, revoked_at) WHERE revoked_at IS NULL;
CREATE INDEX keyfob_tokens_by_expiry
    ON keyfob_tokens (expires_at, id, revoked_at) WHERE expires_at IS NOT NULL;
CREATE INDEX keyfob_tokens_by_revocation
    ON keyfob_tokens (revoked_at) WHERE revoked_at IS NOT NULL;
CREATE INDEX keyfob_tokens_by_parent
    ON keyfob_tokens (parent) WHERE parent IS NOT NULL;
CREATE VIEW keyfob_tokens_readable AS
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
COMMIT;

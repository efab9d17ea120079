-- Every statement may be run again on MariaDB; MySQL adds a column once. Columns are nullable, so that a node of the
-- version before can still write.

ALTER TABLE `{prefix}tokens` ADD COLUMN /*M! IF NOT EXISTS */ version BIGINT;

-- The name in lowercase, as Rust has it. It is looked in for a part of a name.
ALTER TABLE `{prefix}tokens` ADD COLUMN /*M! IF NOT EXISTS */ name_folded VARBINARY(600);

ALTER TABLE `{prefix}tokens` ADD INDEX /*M! IF NOT EXISTS */ by_owner_creation (owner, created_at, id);

ALTER TABLE `{prefix}tokens` ADD INDEX /*M! IF NOT EXISTS */ by_creation (created_at, id);

ALTER TABLE `{prefix}tokens` DROP INDEX /*M! IF EXISTS */ by_owner;

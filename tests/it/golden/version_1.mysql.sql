SET sql_mode = 'NO_AUTO_VALUE_ON_ZERO';
DROP TABLE IF EXISTS `keyfob_canaries`;
CREATE TABLE `keyfob_canaries` (
  `key_id` varbinary(32) NOT NULL,
  `canary` binary(32) NOT NULL,
  PRIMARY KEY (`key_id`)
) ENGINE=InnoDB DEFAULT CHARSET=latin1 COLLATE=latin1_swedish_ci;

DROP TABLE IF EXISTS `keyfob_migrations`;
CREATE TABLE `keyfob_migrations` (
  `version` bigint(20) NOT NULL,
  `applied_at` timestamp NOT NULL DEFAULT current_timestamp(),
  PRIMARY KEY (`version`)
) ENGINE=InnoDB DEFAULT CHARSET=latin1 COLLATE=latin1_swedish_ci;

INSERT INTO `keyfob_migrations` VALUES
(1,'2026-11-30 03:00:49');
DROP TABLE IF EXISTS `keyfob_owners`;
CREATE TABLE `keyfob_owners` (
  `owner` varbinary(255) NOT NULL,
  `changes` bigint(20) NOT NULL,
  PRIMARY KEY (`owner`)
) ENGINE=InnoDB DEFAULT CHARSET=latin1 COLLATE=latin1_swedish_ci;

DROP TABLE IF EXISTS `keyfob_tokens`;
CREATE TABLE `keyfob_tokens` (
  `id` binary(16) NOT NULL,
  `prefix` varbinary(32) NOT NULL,
  `owner` varbinary(255) NOT NULL,
  `created_by` varbinary(255) DEFAULT NULL,
  `name` varbinary(400) NOT NULL,
  `digest` binary(32) NOT NULL,
  `digest_key` varbinary(32) DEFAULT NULL,
  `generation` bigint(20) NOT NULL,
  `rotated_at` bigint(20) DEFAULT NULL,
  `first_used_at` bigint(20) DEFAULT NULL,
  `previous_digest` binary(32) DEFAULT NULL,
  `previous_digest_key` varbinary(32) DEFAULT NULL,
  `previous_ends_at` bigint(20) DEFAULT NULL,
  `previous_ends_on_first_use` tinyint(4) NOT NULL,
  `previous_may_ask_again` tinyint(4) NOT NULL,
  `abilities` mediumblob NOT NULL,
  `created_at` bigint(20) NOT NULL,
  `expires_at` bigint(20) DEFAULT NULL,
  `not_before` bigint(20) DEFAULT NULL,
  `idle_seconds` bigint(20) DEFAULT NULL,
  `last_used_at` bigint(20) DEFAULT NULL,
  `last_used_from` varbinary(64) DEFAULT NULL,
  `suspended_since` bigint(20) DEFAULT NULL,
  `suspended_until` bigint(20) DEFAULT NULL,
  `suspended_reason` varbinary(255) DEFAULT NULL,
  `revoked_at` bigint(20) DEFAULT NULL,
  `revoked_by` varbinary(255) DEFAULT NULL,
  `revoked_reason` varbinary(255) DEFAULT NULL,
  `parent` binary(16) DEFAULT NULL,
  `allowed_addresses` mediumblob DEFAULT NULL,
  `rate_limit_requests` bigint(20) DEFAULT NULL,
  `rate_limit_seconds` bigint(20) DEFAULT NULL,
  `metadata` mediumblob DEFAULT NULL,
  `notices` mediumblob NOT NULL,
  `used_abilities` mediumblob NOT NULL,
  `idempotency_key` varbinary(255) DEFAULT NULL,
  `ends_at` bigint(20) GENERATED ALWAYS AS (least(coalesce(`revoked_at`,`expires_at`),coalesce(`expires_at`,`revoked_at`))) STORED,
  PRIMARY KEY (`id`),
  UNIQUE KEY `by_idempotency_key` (`owner`,`idempotency_key`),
  KEY `by_owner` (`owner`,`id`),
  KEY `by_name` (`owner`,`name`,`id`),
  KEY `by_expiry` (`revoked_at`,`expires_at`,`id`),
  KEY `by_end` (`ends_at`),
  KEY `by_parent` (`parent`,`id`),
  KEY `by_key` (`digest_key`,`revoked_at`),
  KEY `by_previous_key` (`previous_digest`,`previous_digest_key`,`revoked_at`)
) ENGINE=InnoDB DEFAULT CHARSET=latin1 COLLATE=latin1_swedish_ci ROW_FORMAT=DYNAMIC;

INSERT INTO `keyfob_tokens` VALUES
(0x019E704488007000B76E6118130A0D04,0x61636D65,0x757365723A3432,NULL,0x706C61696E,0xC0CBD2D0488FFF311FA172348A3F69D4E909F9A0A86500FC10BD85E97EA8D320,0x32303236,0,NULL,NULL,NULL,NULL,NULL,0,0,0x736572766572733A72656164,1780000000,NULL,NULL,NULL,1780007270,0x3139322E302E322E31,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'','',NULL,NULL),
(0x019E7044AF1070009609003B32352C27,0x61636D65,0x757365723A3432,NULL,0xC384525A544520756E642053747261C39F65,0xE78EFFEB28624C06E558DFEC558839C25EBE0ECCAC4B1FA96A8D8D0C00527E5A,0x32303236,0,NULL,NULL,NULL,NULL,NULL,0,0,0x736572766572733A72656164,1780000010,NULL,NULL,NULL,1780007270,0x3139322E302E322E31,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'','',NULL,NULL),
(0x019E7044D6207000B12823DADDD4CFC6,0x61636D65,0x757365723A3432,NULL,0xC4B07374616E62756C,0x11D68A94A0AD88BC8A36749EC0CFD9DEAB06EF8BF3B497A96B12658ED3F9B269,0x32303236,0,NULL,NULL,NULL,NULL,NULL,0,0,0x736572766572733A72656164,1780000020,NULL,NULL,NULL,1780007270,0x3139322E302E322E31,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'','',NULL,NULL),
(0x019E7044FD30700090CBC2C5FCF7EEE1,0x61636D65,0x757365723A3432,NULL,0x5265766F6B6564,0xA3F0690D973D877956F13A9609D603EE3E45638CE7E2B89501252D89633B0242,0x32303236,0,NULL,NULL,NULL,NULL,NULL,0,0,0x736572766572733A72656164,1780000030,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,1780000040,0x61646D696E3A31,0x73746F6C656E,NULL,NULL,NULL,NULL,NULL,'','',NULL,1780000040),
(0x019E704524407000B3EAEDE49F968980,0x61636D65,0x757365723A3432,NULL,0x45787069726564,0xA8893006E54FB4215CDA9ADEF7618D917EFB59B03DF2337DFB99F23B140EEC04,0x32303236,0,NULL,NULL,NULL,NULL,NULL,0,0,0x736572766572733A72656164,1780000040,1780003640,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'','',NULL,1780003640),
(0x019E70454B50700092958C87BEB1A8A3,0x61636D65,0x757365723A3432,NULL,0x53757370656E646564,0x640740CF820BFCAD85960F106154A72EE465396CBFD44960D1948351ACBDA267,0x32303236,0,NULL,NULL,NULL,NULL,NULL,0,0,0x736572766572733A72656164,1780000050,NULL,NULL,NULL,NULL,NULL,1780000060,NULL,0x73746F6C656E,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'','',NULL,NULL),
(0x019E704572607000BDB4AFA659504B42,0x61636D65,0x757365723A3432,NULL,0x526F7461746564,0x7F780294E76543660619C459085DDA11760B784C5ECCBF622767EC7DCB99076C,0x32303236,1,1780000070,1780007270,0xB6FF1EEA25DEABDBF3C7F09D5C0269814201BBBB127C2F157D765FD6003844FD,0x32303236,1780172870,0,0,0x736572766572733A72656164,1780000060,NULL,NULL,NULL,1780007270,0x3139322E302E322E31,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'','',NULL,NULL),
(0x019E704599707000BF7669601B12150C,0x61636D65,0x70726F6A6563743A2237225CC3A9,0x61646D696E3A37,0x66756C6C,0xE1858BC2552134C597499C525471E08425470D13AE3406208EACA132BA959389,0x32303236,0,NULL,NULL,NULL,NULL,NULL,0,0,0x736572766572733A7265616420746F6B656E733A6973737565,1780000070,1814560070,1780000000,7776000,1780007270,0x3139322E302E322E31,NULL,NULL,NULL,NULL,NULL,NULL,NULL,0x3139322E302E322E302F3234,60,3600,0x7B2261223A5B312C322E352C225C22625C22225D7D,'',0x736572766572733A7265616420746F6B656E733A6973737565,0x6F6E6365,1814560070),
(0x019E7045997070019E1108033A3D342F,0x61636D65,0x70726F6A6563743A2237225CC3A9,NULL,0x6368696C64,0xA2EAA18BD289A387802AFC5509B4B09B069C51D1A0519221A4E3CE1D45D70123,0x32303236,0,NULL,NULL,NULL,NULL,NULL,0,0,0x736572766572733A72656164,1780000070,1814560070,NULL,7776000,1780007270,0x3139322E302E322E31,NULL,NULL,NULL,NULL,NULL,NULL,0x019E704599707000BF7669601B12150C,0x3139322E302E322E302F3234,60,3600,NULL,'','',NULL,1814560070);
DROP TABLE IF EXISTS `keyfob_tokens_readable`;
CREATE SQL SECURITY INVOKER VIEW `keyfob_tokens_readable` AS select lcase(hex(`keyfob_tokens`.`id`)) AS `id`,convert(`keyfob_tokens`.`prefix` using utf8mb4) AS `prefix`,convert(`keyfob_tokens`.`owner` using utf8mb4) AS `owner`,convert(`keyfob_tokens`.`created_by` using utf8mb4) AS `created_by`,convert(`keyfob_tokens`.`name` using utf8mb4) AS `name`,convert(`keyfob_tokens`.`digest_key` using utf8mb4) AS `digest_key`,`keyfob_tokens`.`generation` AS `generation`,TIMESTAMP'1970-01-01 00:00:00' + interval `keyfob_tokens`.`rotated_at` second AS `rotated_at`,TIMESTAMP'1970-01-01 00:00:00' + interval `keyfob_tokens`.`first_used_at` second AS `first_used_at`,convert(`keyfob_tokens`.`previous_digest_key` using utf8mb4) AS `previous_digest_key`,TIMESTAMP'1970-01-01 00:00:00' + interval `keyfob_tokens`.`previous_ends_at` second AS `previous_ends_at`,`keyfob_tokens`.`previous_ends_on_first_use` AS `previous_ends_on_first_use`,`keyfob_tokens`.`previous_may_ask_again` AS `previous_may_ask_again`,convert(`keyfob_tokens`.`abilities` using utf8mb4) AS `abilities`,TIMESTAMP'1970-01-01 00:00:00' + interval `keyfob_tokens`.`created_at` second AS `created_at`,TIMESTAMP'1970-01-01 00:00:00' + interval `keyfob_tokens`.`expires_at` second AS `expires_at`,TIMESTAMP'1970-01-01 00:00:00' + interval `keyfob_tokens`.`not_before` second AS `not_before`,`keyfob_tokens`.`idle_seconds` AS `idle_seconds`,TIMESTAMP'1970-01-01 00:00:00' + interval `keyfob_tokens`.`last_used_at` second AS `last_used_at`,convert(`keyfob_tokens`.`last_used_from` using utf8mb4) AS `last_used_from`,TIMESTAMP'1970-01-01 00:00:00' + interval `keyfob_tokens`.`suspended_since` second AS `suspended_since`,TIMESTAMP'1970-01-01 00:00:00' + interval `keyfob_tokens`.`suspended_until` second AS `suspended_until`,convert(`keyfob_tokens`.`suspended_reason` using utf8mb4) AS `suspended_reason`,TIMESTAMP'1970-01-01 00:00:00' + interval `keyfob_tokens`.`revoked_at` second AS `revoked_at`,convert(`keyfob_tokens`.`revoked_by` using utf8mb4) AS `revoked_by`,convert(`keyfob_tokens`.`revoked_reason` using utf8mb4) AS `revoked_reason`,lcase(hex(`keyfob_tokens`.`parent`)) AS `parent`,convert(`keyfob_tokens`.`allowed_addresses` using utf8mb4) AS `allowed_addresses`,`keyfob_tokens`.`rate_limit_requests` AS `rate_limit_requests`,`keyfob_tokens`.`rate_limit_seconds` AS `rate_limit_seconds`,convert(`keyfob_tokens`.`metadata` using utf8mb4) AS `metadata`,convert(`keyfob_tokens`.`notices` using utf8mb4) AS `notices`,convert(`keyfob_tokens`.`used_abilities` using utf8mb4) AS `used_abilities`,convert(`keyfob_tokens`.`idempotency_key` using utf8mb4) AS `idempotency_key` from `keyfob_tokens`;



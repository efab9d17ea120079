SELECT pg_catalog.set_config('search_path', '', false);
CREATE TABLE public.keyfob_canaries (
    key_id text NOT NULL COLLATE pg_catalog."C",
    canary bytea NOT NULL,
    CONSTRAINT keyfob_canaries_canary_check CHECK ((octet_length(canary) = 32))
);
CREATE TABLE public.keyfob_migrations (
    version bigint NOT NULL,
    applied_at timestamp with time zone DEFAULT now() NOT NULL
);
CREATE TABLE public.keyfob_owners (
    owner text NOT NULL COLLATE pg_catalog."C",
    changes bigint NOT NULL
);
CREATE TABLE public.keyfob_tokens (
    id uuid NOT NULL,
    prefix text NOT NULL COLLATE pg_catalog."C",
    owner text NOT NULL COLLATE pg_catalog."C",
    created_by text COLLATE pg_catalog."C",
    name text NOT NULL COLLATE pg_catalog."C",
    digest bytea NOT NULL,
    digest_key text COLLATE pg_catalog."C",
    generation bigint NOT NULL,
    rotated_at bigint,
    first_used_at bigint,
    previous_digest bytea,
    previous_digest_key text COLLATE pg_catalog."C",
    previous_ends_at bigint,
    previous_ends_on_first_use boolean NOT NULL,
    previous_may_ask_again boolean NOT NULL,
    abilities text NOT NULL COLLATE pg_catalog."C",
    created_at bigint NOT NULL,
    expires_at bigint,
    not_before bigint,
    idle_seconds bigint,
    last_used_at bigint,
    last_used_from text COLLATE pg_catalog."C",
    suspended_since bigint,
    suspended_until bigint,
    suspended_reason text COLLATE pg_catalog."C",
    revoked_at bigint,
    revoked_by text COLLATE pg_catalog."C",
    revoked_reason text COLLATE pg_catalog."C",
    parent uuid,
    allowed_addresses text COLLATE pg_catalog."C",
    rate_limit_requests bigint,
    rate_limit_seconds bigint,
    metadata text COLLATE pg_catalog."C",
    notices text NOT NULL COLLATE pg_catalog."C",
    used_abilities text DEFAULT ''::text NOT NULL COLLATE pg_catalog."C",
    idempotency_key text COLLATE pg_catalog."C",
    ends_at bigint GENERATED ALWAYS AS (LEAST(revoked_at, expires_at)) STORED,
    CONSTRAINT keyfob_tokens_digest_check CHECK ((octet_length(digest) = 32)),
    CONSTRAINT keyfob_tokens_previous_digest_check CHECK ((octet_length(previous_digest) = 32))
)
WITH (fillfactor='85');
CREATE VIEW public.keyfob_tokens_readable AS
 SELECT keyfob_tokens.id,
    keyfob_tokens.prefix,
    keyfob_tokens.owner,
    keyfob_tokens.created_by,
    keyfob_tokens.name,
    keyfob_tokens.digest_key,
    keyfob_tokens.generation,
    to_timestamp((keyfob_tokens.rotated_at)::double precision) AS rotated_at,
    to_timestamp((keyfob_tokens.first_used_at)::double precision) AS first_used_at,
    keyfob_tokens.previous_digest_key,
    to_timestamp((keyfob_tokens.previous_ends_at)::double precision) AS previous_ends_at,
    keyfob_tokens.previous_ends_on_first_use,
    keyfob_tokens.previous_may_ask_again,
    keyfob_tokens.abilities,
    to_timestamp((keyfob_tokens.created_at)::double precision) AS created_at,
    to_timestamp((keyfob_tokens.expires_at)::double precision) AS expires_at,
    to_timestamp((keyfob_tokens.not_before)::double precision) AS not_before,
    keyfob_tokens.idle_seconds,
    to_timestamp((keyfob_tokens.last_used_at)::double precision) AS last_used_at,
    keyfob_tokens.last_used_from,
    to_timestamp((keyfob_tokens.suspended_since)::double precision) AS suspended_since,
    to_timestamp((keyfob_tokens.suspended_until)::double precision) AS suspended_until,
    keyfob_tokens.suspended_reason,
    to_timestamp((keyfob_tokens.revoked_at)::double precision) AS revoked_at,
    keyfob_tokens.revoked_by,
    keyfob_tokens.revoked_reason,
    keyfob_tokens.parent,
    keyfob_tokens.allowed_addresses,
    keyfob_tokens.rate_limit_requests,
    keyfob_tokens.rate_limit_seconds,
    keyfob_tokens.metadata,
    keyfob_tokens.notices,
    keyfob_tokens.used_abilities,
    keyfob_tokens.idempotency_key
   FROM public.keyfob_tokens;
INSERT INTO public.keyfob_migrations VALUES (1, '2026-11-30 03:00:49.594858+00');
INSERT INTO public.keyfob_tokens VALUES ('019e7044-fd30-7000-90cb-c2c5fcf7eee1', 'acme', 'user:42', NULL, 'Revoked', '\xa3f0690d973d877956f13a9609d603ee3e45638ce7e2b89501252d89633b0242', '2026', 0, NULL, NULL, NULL, NULL, NULL, false, false, 'servers:read', 1780000030, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, 1780000040, 'admin:1', 'stolen', NULL, NULL, NULL, NULL, NULL, '', '', NULL, DEFAULT);
INSERT INTO public.keyfob_tokens VALUES ('019e7045-2440-7000-b3ea-ede49f968980', 'acme', 'user:42', NULL, 'Expired', '\xa8893006e54fb4215cda9adef7618d917efb59b03df2337dfb99f23b140eec04', '2026', 0, NULL, NULL, NULL, NULL, NULL, false, false, 'servers:read', 1780000040, 1780003640, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, '', '', NULL, DEFAULT);
INSERT INTO public.keyfob_tokens VALUES ('019e7045-4b50-7000-9295-8c87beb1a8a3', 'acme', 'user:42', NULL, 'Suspended', '\x640740cf820bfcad85960f106154a72ee465396cbfd44960d1948351acbda267', '2026', 0, NULL, NULL, NULL, NULL, NULL, false, false, 'servers:read', 1780000050, NULL, NULL, NULL, NULL, NULL, 1780000060, NULL, 'stolen', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, '', '', NULL, DEFAULT);
INSERT INTO public.keyfob_tokens VALUES ('019e7044-8800-7000-b76e-6118130a0d04', 'acme', 'user:42', NULL, 'plain', '\xc0cbd2d0488fff311fa172348a3f69d4e909f9a0a86500fc10bd85e97ea8d320', '2026', 0, NULL, NULL, NULL, NULL, NULL, false, false, 'servers:read', 1780000000, NULL, NULL, NULL, 1780007270, '192.0.2.1', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, '', '', NULL, DEFAULT);
INSERT INTO public.keyfob_tokens VALUES ('019e7044-af10-7000-9609-003b32352c27', 'acme', 'user:42', NULL, 'ÄRZTE und Straße', '\xe78effeb28624c06e558dfec558839c25ebe0eccac4b1fa96a8d8d0c00527e5a', '2026', 0, NULL, NULL, NULL, NULL, NULL, false, false, 'servers:read', 1780000010, NULL, NULL, NULL, 1780007270, '192.0.2.1', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, '', '', NULL, DEFAULT);
INSERT INTO public.keyfob_tokens VALUES ('019e7044-d620-7000-b128-23daddd4cfc6', 'acme', 'user:42', NULL, 'İstanbul', '\x11d68a94a0ad88bc8a36749ec0cfd9deab06ef8bf3b497a96b12658ed3f9b269', '2026', 0, NULL, NULL, NULL, NULL, NULL, false, false, 'servers:read', 1780000020, NULL, NULL, NULL, 1780007270, '192.0.2.1', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, '', '', NULL, DEFAULT);
INSERT INTO public.keyfob_tokens VALUES ('019e7045-9970-7001-9e11-08033a3d342f', 'acme', 'project:"7"\é', NULL, 'child', '\xa2eaa18bd289a387802afc5509b4b09b069c51d1a0519221a4e3ce1d45d70123', '2026', 0, NULL, NULL, NULL, NULL, NULL, false, false, 'servers:read', 1780000070, 1814560070, NULL, 7776000, 1780007270, '192.0.2.1', NULL, NULL, NULL, NULL, NULL, NULL, '019e7045-9970-7000-bf76-69601b12150c', '192.0.2.0/24', 60, 3600, NULL, '', '', NULL, DEFAULT);
INSERT INTO public.keyfob_tokens VALUES ('019e7045-7260-7000-bdb4-afa659504b42', 'acme', 'user:42', NULL, 'Rotated', '\x7f780294e76543660619c459085dda11760b784c5eccbf622767ec7dcb99076c', '2026', 1, 1780000070, 1780007270, '\xb6ff1eea25deabdbf3c7f09d5c0269814201bbbb127c2f157d765fd6003844fd', '2026', 1780172870, false, false, 'servers:read', 1780000060, NULL, NULL, NULL, 1780007270, '192.0.2.1', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, '', '', NULL, DEFAULT);
INSERT INTO public.keyfob_tokens VALUES ('019e7045-9970-7000-bf76-69601b12150c', 'acme', 'project:"7"\é', 'admin:7', 'full', '\xe1858bc2552134c597499c525471e08425470d13ae3406208eaca132ba959389', '2026', 0, NULL, NULL, NULL, NULL, NULL, false, false, 'servers:read tokens:issue', 1780000070, 1814560070, 1780000000, 7776000, 1780007270, '192.0.2.1', NULL, NULL, NULL, NULL, NULL, NULL, NULL, '192.0.2.0/24', 60, 3600, '{"a":[1,2.5,"\"b\""]}', '', 'servers:read tokens:issue', 'once', DEFAULT);
ALTER TABLE ONLY public.keyfob_canaries
    ADD CONSTRAINT keyfob_canaries_pkey PRIMARY KEY (key_id);
ALTER TABLE ONLY public.keyfob_migrations
    ADD CONSTRAINT keyfob_migrations_pkey PRIMARY KEY (version);
ALTER TABLE ONLY public.keyfob_owners
    ADD CONSTRAINT keyfob_owners_pkey PRIMARY KEY (owner);
ALTER TABLE ONLY public.keyfob_tokens
    ADD CONSTRAINT keyfob_tokens_pkey PRIMARY KEY (id);
CREATE INDEX keyfob_tokens_by_end ON public.keyfob_tokens USING btree (ends_at) WHERE (ends_at IS NOT NULL);
CREATE INDEX keyfob_tokens_by_expiry ON public.keyfob_tokens USING btree (expires_at, id) WHERE ((revoked_at IS NULL) AND (expires_at IS NOT NULL));
CREATE UNIQUE INDEX keyfob_tokens_by_idempotency_key ON public.keyfob_tokens USING btree (owner, idempotency_key) WHERE (idempotency_key IS NOT NULL);
CREATE INDEX keyfob_tokens_by_key ON public.keyfob_tokens USING btree (digest_key) WHERE (revoked_at IS NULL);
CREATE INDEX keyfob_tokens_by_name ON public.keyfob_tokens USING btree (owner, name, id) WHERE (revoked_at IS NULL);
CREATE INDEX keyfob_tokens_by_owner ON public.keyfob_tokens USING btree (owner, id, revoked_at);
CREATE INDEX keyfob_tokens_by_parent ON public.keyfob_tokens USING btree (parent, id) WHERE (parent IS NOT NULL);
CREATE INDEX keyfob_tokens_by_previous_key ON public.keyfob_tokens USING btree (previous_digest_key) WHERE ((revoked_at IS NULL) AND (previous_digest IS NOT NULL));

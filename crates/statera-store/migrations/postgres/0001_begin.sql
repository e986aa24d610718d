-- Numbers of chains: a place is the chain's number times 2^40 plus the row's number in it.
CREATE TABLE meta (name TEXT COLLATE "C" PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE chain (id BIGINT PRIMARY KEY, name TEXT NOT NULL UNIQUE);
CREATE TABLE audit (place BIGINT PRIMARY KEY, at_us BIGINT NOT NULL, actor TEXT NOT NULL, body TEXT NOT NULL, hash BYTEA NOT NULL);
CREATE TABLE record (id BYTEA PRIMARY KEY, follows BYTEA, place BIGINT NOT NULL, first_part BIGINT NOT NULL, n_parts BIGINT NOT NULL);
CREATE INDEX record_follows ON record (follows) WHERE follows IS NOT NULL;
-- A part without a key of its own is sealed under the key that has the record's id.
CREATE TABLE part (id BIGINT PRIMARY KEY, place BIGINT NOT NULL, key_id BYTEA, sealed BYTEA NOT NULL);
CREATE INDEX part_key ON part (key_id) WHERE key_id IS NOT NULL;
CREATE TABLE subject_key (id BYTEA PRIMARY KEY, subject BYTEA, period BIGINT NOT NULL, wrapped BYTEA, erased_us BIGINT);
CREATE UNIQUE INDEX subject_key_live ON subject_key (subject, period) WHERE subject IS NOT NULL AND wrapped IS NOT NULL;
CREATE TABLE request (scope TEXT COLLATE "C" NOT NULL, name TEXT COLLATE "C" NOT NULL, record BYTEA NOT NULL, body_digest BYTEA NOT NULL, PRIMARY KEY (scope, name));
CREATE TABLE tier (tier BIGINT PRIMARY KEY, approvals BIGINT NOT NULL);
CREATE TABLE model (name TEXT COLLATE "C" PRIMARY KEY, tier BIGINT NOT NULL, route TEXT NOT NULL);
CREATE TABLE version (model TEXT COLLATE "C" NOT NULL, number BIGINT NOT NULL, digest TEXT NOT NULL, note TEXT NOT NULL, made_by TEXT NOT NULL, at_us BIGINT NOT NULL, PRIMARY KEY (model, number));
CREATE TABLE proposal (id BYTEA PRIMARY KEY, model TEXT NOT NULL, change TEXT NOT NULL, note TEXT NOT NULL, made_by TEXT NOT NULL, at_us BIGINT NOT NULL, state TEXT NOT NULL, approved_by TEXT NOT NULL, rejected TEXT);
CREATE INDEX proposal_state ON proposal (state, at_us);
CREATE TABLE person (name TEXT COLLATE "C" PRIMARY KEY, roles TEXT NOT NULL, password TEXT, disabled BIGINT NOT NULL, failures BIGINT NOT NULL, locked_until_us BIGINT NOT NULL);
CREATE TABLE api_key (prefix TEXT COLLATE "C" PRIMARY KEY, secret_mac BYTEA NOT NULL, label TEXT NOT NULL, roles TEXT NOT NULL, rate BIGINT NOT NULL, urgent BIGINT NOT NULL, expires_us BIGINT, revoked BIGINT NOT NULL, made_by TEXT NOT NULL, at_us BIGINT NOT NULL);
CREATE TABLE session (secret_digest BYTEA PRIMARY KEY, person TEXT NOT NULL, at_us BIGINT NOT NULL, expires_us BIGINT NOT NULL);
INSERT INTO meta (name, value) VALUES ('min_program', '1'), ('turn', '0'), ('revision', '0'), ('erasures', '0');

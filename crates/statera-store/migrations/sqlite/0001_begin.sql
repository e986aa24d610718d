-- Numbers of chains: a place is the chain's number times 2^40 plus the row's number in it.
CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE chain (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
CREATE TABLE audit (place INTEGER PRIMARY KEY, at_us INTEGER NOT NULL, actor TEXT NOT NULL, body TEXT NOT NULL, hash BLOB NOT NULL);
CREATE TABLE record (id BLOB PRIMARY KEY, follows BLOB, place INTEGER NOT NULL, first_part INTEGER NOT NULL, n_parts INTEGER NOT NULL) WITHOUT ROWID;
CREATE INDEX record_follows ON record (follows) WHERE follows IS NOT NULL;
-- A part without a key of its own is sealed under the key that has the record's id.
CREATE TABLE part (id INTEGER PRIMARY KEY, place INTEGER NOT NULL, key_id BLOB, sealed BLOB NOT NULL);
CREATE INDEX part_key ON part (key_id) WHERE key_id IS NOT NULL;
CREATE TABLE subject_key (id BLOB PRIMARY KEY, subject BLOB, period INTEGER NOT NULL, wrapped BLOB, erased_us INTEGER) WITHOUT ROWID;
CREATE UNIQUE INDEX subject_key_live ON subject_key (subject, period) WHERE subject IS NOT NULL AND wrapped IS NOT NULL;
CREATE TABLE request (scope TEXT NOT NULL, name TEXT NOT NULL, record BLOB NOT NULL, body_digest BLOB NOT NULL, PRIMARY KEY (scope, name)) WITHOUT ROWID;
CREATE TABLE tier (tier INTEGER PRIMARY KEY, approvals INTEGER NOT NULL);
CREATE TABLE model (name TEXT PRIMARY KEY, tier INTEGER NOT NULL, route TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE version (model TEXT NOT NULL, number INTEGER NOT NULL, digest TEXT NOT NULL, note TEXT NOT NULL, made_by TEXT NOT NULL, at_us INTEGER NOT NULL, PRIMARY KEY (model, number)) WITHOUT ROWID;
CREATE TABLE proposal (id BLOB PRIMARY KEY, model TEXT NOT NULL, change TEXT NOT NULL, note TEXT NOT NULL, made_by TEXT NOT NULL, at_us INTEGER NOT NULL, state TEXT NOT NULL, approved_by TEXT NOT NULL, rejected TEXT) WITHOUT ROWID;
CREATE INDEX proposal_state ON proposal (state, at_us);
CREATE TABLE person (name TEXT PRIMARY KEY, roles TEXT NOT NULL, password TEXT, disabled INTEGER NOT NULL, failures INTEGER NOT NULL, locked_until_us INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE api_key (prefix TEXT PRIMARY KEY, secret_mac BLOB NOT NULL, label TEXT NOT NULL, roles TEXT NOT NULL, rate INTEGER NOT NULL, urgent INTEGER NOT NULL, expires_us INTEGER, revoked INTEGER NOT NULL, made_by TEXT NOT NULL, at_us INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE session (secret_digest BLOB PRIMARY KEY, person TEXT NOT NULL, at_us INTEGER NOT NULL, expires_us INTEGER NOT NULL) WITHOUT ROWID;
INSERT INTO meta (name, value) VALUES ('min_program', '1'), ('turn', '0'), ('revision', '0'), ('erasures', '0');

CREATE TABLE _sqlx_migrations (
    version BIGINT PRIMARY KEY,
    description TEXT NOT NULL,
    installed_on TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP,
    success BOOLEAN NOT NULL,
    checksum BLOB NOT NULL,
    execution_time BIGINT NOT NULL
);
INSERT INTO _sqlx_migrations VALUES (1, 'begin', '2026-11-21 19:51:18', 1, x'0a942dd6ca3cc75d2d47ff384f5665667eee1b57233e39040297d2ad979e1c3f30bebb2c34de0778eb628450870fdd99', 3641289);
CREATE TABLE api_key (prefix TEXT PRIMARY KEY, secret_mac BLOB NOT NULL, label TEXT NOT NULL, roles TEXT NOT NULL, rate INTEGER NOT NULL, urgent INTEGER NOT NULL, expires_us INTEGER, revoked INTEGER NOT NULL, made_by TEXT NOT NULL, at_us INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE audit (place INTEGER PRIMARY KEY, at_us INTEGER NOT NULL, actor TEXT NOT NULL, body TEXT NOT NULL, hash BLOB NOT NULL);
INSERT INTO audit VALUES (1099511627777, 1795262400000001, '{"key":"paymentpath"}', '{"record":{"id":"01a1fdfa-4600-7459-8ded-e60126de6ba2","kind":"decision","request":["key1","payment-1","0be9c598ae63835518e7fb422dc3027f452d75f3dbdb94c90d843298b1180ad9"],"parts":[["01a1fdfa460073b2b137333a301ccdf5","e28f6ef4c6d7db54a260c9d2e128367a2f09198c85f45cf6a89567390f1a7c34"]],"keys":[["01a1fdfa460073b2b137333a301ccdf5","8ef6096a8210481f39b6e48936cdb30e821c622835f50393881e0218532fe19a"]],"facts":{"model": "credit", "version": 1}}}', x'443d09760a10d331655b27830a0c2838ed1fe8d7ea9558901dac3fe3a7a9ad93');
INSERT INTO audit VALUES (1099511627778, 1795262400000003, '{"key":"paymentpath"}', '{"record":{"id":"01a1fdfa-4600-75b0-b8ac-33ddfe027469","kind":"decision","parts":[[null,"13aad617931f932ea2a9eb3ab52b8f2adbe49e6b58a42153db670ebadbed1d44"]],"keys":[["01a1fdfa460075b0b8ac33ddfe027469","7d882251fbe9c0afa46fc84e86e2c306472c2a934ac2649d68c6f046f101e152"]],"facts":{"model": "credit", "version": 1}}}', x'91ccc8793eb1635fc3e9b492518911b9c62eae9cf4991f991dae39eb7ddc024d');
INSERT INTO audit VALUES (1099511627779, 1795262400000004, '{"person":"mia"}', '{"turn":1,"act":{"act":"add_model","name":"credit","tier":1}}', x'f297dd43f9e6d064befecd890e64edd90e595544c87143b3f26ebf2054c6c314');
INSERT INTO audit VALUES (1099511627780, 1795262400000005, '{"person":"mia"}', '{"turn":2,"act":{"act":"add_version","model":"credit","digest":"0101010101010101010101010101010101010101010101010101010101010101","note":"first"}}', x'6bc6d9fded2bdd5371f2478bebc59ce7b8d17d6fa7b7767f41b2e9018e53bb7d');
INSERT INTO audit VALUES (1099511627781, 1795262400000006, '{"person":"root"}', '{"turn":3,"act":{"act":"add_person","person":{"name":"ann","roles":["admin"]}}}', x'4381fb78f262c49e0682d1b4be1daf0d8e7ee3e35850f0dc707719da1e0b08ba');
CREATE TABLE chain (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
INSERT INTO chain VALUES (1, 'writer-1');
CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
INSERT INTO meta VALUES ('erasures', '0');
INSERT INTO meta VALUES ('key_check', 'ded7f60ab059c023');
INSERT INTO meta VALUES ('min_program', '1');
INSERT INTO meta VALUES ('revision', '2');
INSERT INTO meta VALUES ('turn', '3');
CREATE TABLE model (name TEXT PRIMARY KEY, tier INTEGER NOT NULL, route TEXT NOT NULL) WITHOUT ROWID;
INSERT INTO model VALUES ('credit', 1, '{"champion":null,"before":[],"challenger":null,"backup":null,"stopped":false}');
CREATE TABLE part (id INTEGER PRIMARY KEY, place INTEGER NOT NULL, key_id BLOB, sealed BLOB NOT NULL);
INSERT INTO part VALUES (1099511627776, 1099511627777, x'01a1fdfa460073b2b137333a301ccdf5', x'c6e374a06dccb98d7744445f50066791864fe7c0b9d946b2b7e42668484b058f45abf42296597ae8a2');
INSERT INTO part VALUES (1099511627777, 1099511627778, NULL, x'dca69d948212800d9ac95fe08911801a1254e2472cfb5fe110e3301304e733ca9058');
CREATE TABLE person (name TEXT PRIMARY KEY, roles TEXT NOT NULL, password TEXT, disabled INTEGER NOT NULL, failures INTEGER NOT NULL, locked_until_us INTEGER NOT NULL) WITHOUT ROWID;
INSERT INTO person VALUES ('ann', '["admin"]', NULL, 0, 0, 0);
CREATE TABLE proposal (id BLOB PRIMARY KEY, model TEXT NOT NULL, change TEXT NOT NULL, note TEXT NOT NULL, made_by TEXT NOT NULL, at_us INTEGER NOT NULL, state TEXT NOT NULL, approved_by TEXT NOT NULL, rejected TEXT) WITHOUT ROWID;
CREATE TABLE record (id BLOB PRIMARY KEY, follows BLOB, place INTEGER NOT NULL, first_part INTEGER NOT NULL, n_parts INTEGER NOT NULL) WITHOUT ROWID;
INSERT INTO record VALUES (x'01a1fdfa460074598dede60126de6ba2', NULL, 1099511627777, 1099511627776, 1);
INSERT INTO record VALUES (x'01a1fdfa460075b0b8ac33ddfe027469', NULL, 1099511627778, 1099511627777, 1);
CREATE TABLE request (scope TEXT NOT NULL, name TEXT NOT NULL, record BLOB NOT NULL, body_digest BLOB NOT NULL, PRIMARY KEY (scope, name)) WITHOUT ROWID;
INSERT INTO request VALUES ('key1', 'payment-1', x'01a1fdfa460074598dede60126de6ba2', x'0be9c598ae63835518e7fb422dc3027f452d75f3dbdb94c90d843298b1180ad9');
CREATE TABLE session (secret_digest BLOB PRIMARY KEY, person TEXT NOT NULL, at_us INTEGER NOT NULL, expires_us INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE subject_key (id BLOB PRIMARY KEY, subject BLOB, period INTEGER NOT NULL, wrapped BLOB, erased_us INTEGER) WITHOUT ROWID;
INSERT INTO subject_key VALUES (x'01a1fdfa460073b2b137333a301ccdf5', x'7be429d2f3d19c1b1ce3371909648820d053fd39fe39db90b3366dac755b8009', 692, x'8f83302cb64feccbf88a563a53e54fda8df555c482e9afd815681fffa5c16bad146d095853492ed6d2b6e823d90277e19b74c5ce8c8b5d7bd89b0598badd3bf9', NULL);
INSERT INTO subject_key VALUES (x'01a1fdfa460075b0b8ac33ddfe027469', NULL, 692, x'13297e306c8d66f8947f0a2a58c7f80d07b6c21ed2d98388dbde256df2370e21f991df4cfb09f0cad079459611fef9d0264de5351f760c89193d2a22c5bdebc1', NULL);
CREATE TABLE tier (tier INTEGER PRIMARY KEY, approvals INTEGER NOT NULL);
CREATE TABLE version (model TEXT NOT NULL, number INTEGER NOT NULL, digest TEXT NOT NULL, note TEXT NOT NULL, made_by TEXT NOT NULL, at_us INTEGER NOT NULL, PRIMARY KEY (model, number)) WITHOUT ROWID;
INSERT INTO version VALUES ('credit', 1, '0101010101010101010101010101010101010101010101010101010101010101', 'first', 'mia', 1795262400000005);
CREATE INDEX part_key ON part (key_id) WHERE key_id IS NOT NULL;
CREATE INDEX proposal_state ON proposal (state, at_us);
CREATE INDEX record_follows ON record (follows) WHERE follows IS NOT NULL;
CREATE UNIQUE INDEX subject_key_live ON subject_key (subject, period) WHERE subject IS NOT NULL AND wrapped IS NOT NULL;

CREATE TABLE _sqlx_migrations (
    version BIGINT PRIMARY KEY,
    description TEXT NOT NULL,
    installed_on TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP,
    success BOOLEAN NOT NULL,
    checksum BLOB NOT NULL,
    execution_time BIGINT NOT NULL
);
INSERT INTO _sqlx_migrations VALUES (1, 'begin', '2026-11-22 03:00:50', 1, x'0a942dd6ca3cc75d2d47ff384f5665667eee1b57233e39040297d2ad979e1c3f30bebb2c34de0778eb628450870fdd99', 1497792);
INSERT INTO _sqlx_migrations VALUES (2, 'alerts', '2026-11-22 03:00:50', 1, x'ee46f3dc80011fa5c518f2af3d8e768a56c6defbff5dd2f8d981413cda3feeaeb31b8c702761e1b9549355511e861113', 1628082);
CREATE TABLE alert (id BLOB PRIMARY KEY, model TEXT NOT NULL, card BLOB NOT NULL, opened_us INTEGER NOT NULL, last_us INTEGER NOT NULL, risk INTEGER NOT NULL, n_waiting INTEGER NOT NULL, assigned TEXT, verdict TEXT, closed_us INTEGER, steps INTEGER NOT NULL) WITHOUT ROWID;
INSERT INTO alert VALUES (x'01a1fdfa4600700dbb1d66055c2d348d', 'credit', x'0e790cfd8e6cea95244fb9d9f41d16d89c1459561e9d1f9ac1df409b72a91842', 1795262400000009, 1795262400000009, 5, 1, 'ann', NULL, NULL, 1);
CREATE TABLE alert_key (value BLOB NOT NULL, of_alert BLOB NOT NULL, name TEXT NOT NULL, PRIMARY KEY (value, of_alert)) WITHOUT ROWID;
CREATE TABLE api_key (prefix TEXT PRIMARY KEY, secret_mac BLOB NOT NULL, label TEXT NOT NULL, roles TEXT NOT NULL, rate INTEGER NOT NULL, urgent INTEGER NOT NULL, expires_us INTEGER, revoked INTEGER NOT NULL, made_by TEXT NOT NULL, at_us INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE audit (place INTEGER PRIMARY KEY, at_us INTEGER NOT NULL, actor TEXT NOT NULL, body TEXT NOT NULL, hash BLOB NOT NULL);
INSERT INTO audit VALUES (1099511627777, 1795262400000005, '{"key":"paymentpath"}', '{"record":{"id":"01a1fdfa-4600-7c5d-918c-2c81dfc70f72","kind":"decision","request":["key1","payment-1","d409f298c43843f1dc9ea31d11b6881de8aabf6a4df4bafc4427368213151895"],"parts":[["01a1fdfa46007b05862576207994db6e","30c0a0ee6849370591165a26d0ebe56902e107b71617b005231e5122b5e392f6"]],"keys":[["01a1fdfa46007b05862576207994db6e","0404c6e48e465962373028abb7a0abe58cd140390f01219863470d4ab9177cc5"]],"facts":{"model": "credit", "version": 1}}}', x'21cf20b75016da1b03c814a0ec757b8f6ac5f64a9ea90948c38a33c2694bcd51');
INSERT INTO audit VALUES (1099511627778, 1795262400000007, '{"key":"paymentpath"}', '{"record":{"id":"01a1fdfa-4600-709d-bc41-a9b92c116d8d","kind":"decision","parts":[[null,"d7408c4e6bb50463840537cc9c99ce87c6a294a312a149d1e638cb0d269372a7"]],"keys":[["01a1fdfa4600709dbc41a9b92c116d8d","7f6f3b502280385be2c6b81caece730fcaff7d8748b83532a8c60fc4467f357c"]],"facts":{"model": "credit", "version": 1}}}', x'c473b87ab1577cb98eadcc5c02ee0bd02f772ca6d666d1300230984435375507');
INSERT INTO audit VALUES (1099511627779, 1795262400000009, '{"key":"paymentpath"}', '{"record":{"id":"01a1fdfa-4600-700d-bb1d-66055c2d348d","kind":"decision","parts":[["01a1fdfa46007b05862576207994db6e","7026b7841eb68291c83fe68d20f37dcdeb9038349ed57b69e564fadf5dda9a43"]],"facts":{"model": "credit", "version": 1}}}', x'db57eae5076f1e6c856dbf7ccc9294ff1ab060facce6c79045a5dc0836727216');
INSERT INTO audit VALUES (1099511627780, 1795262400000011, '{"key":"paymentpath"}', '{"record":{"id":"01a1fdfa-4600-72bd-9224-6f1c8862f6b2","kind":"alert","of":"01a1fdfa-4600-700d-bb1d-66055c2d348d","parts":[["01a1fdfa46007b05862576207994db6e","31b3f8890d5bd13f72a4243731a39ccd7a7f1ce32e5ce46524fb48753941402e"]],"step":{"number":1,"assigned":"ann"},"facts":{"model": "credit", "version": 1}}}', x'3934bc184f23eac450254d57213f7b6a53e269e03179f31c3e580ddd4760e86d');
INSERT INTO audit VALUES (1099511627781, 1795262400000012, '{"person":"mia"}', '{"turn":1,"act":{"act":"add_model","name":"credit","tier":1}}', x'3a810f2bbb5d9108e5199a349846ac97b30a810054f08ed324a6b08d09161499');
INSERT INTO audit VALUES (1099511627782, 1795262400000013, '{"person":"mia"}', '{"turn":2,"act":{"act":"add_version","model":"credit","digest":"0101010101010101010101010101010101010101010101010101010101010101","note":"first"}}', x'd5d6d79f5547344927029b2cb54c0c6a53170a8e64618be02a367b7ffb004131');
INSERT INTO audit VALUES (1099511627783, 1795262400000014, '{"person":"root"}', '{"turn":3,"act":{"act":"add_person","person":{"name":"ann","roles":["admin"]}}}', x'fc6338deb99ac07f1df8000d7755b02c4ff8a2467e816c4a12a768f76993bb6f');
CREATE TABLE chain (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
INSERT INTO chain VALUES (1, 'writer-1');
CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
INSERT INTO meta VALUES ('erasures', '0');
INSERT INTO meta VALUES ('key_check', '35557b009212a5e5');
INSERT INTO meta VALUES ('min_program', '2');
INSERT INTO meta VALUES ('revision', '2');
INSERT INTO meta VALUES ('turn', '3');
CREATE TABLE model (name TEXT PRIMARY KEY, tier INTEGER NOT NULL, route TEXT NOT NULL) WITHOUT ROWID;
INSERT INTO model VALUES ('credit', 1, '{"champion":null,"before":[],"challenger":null,"backup":null,"stopped":false}');
CREATE TABLE part (id INTEGER PRIMARY KEY, place INTEGER NOT NULL, key_id BLOB, sealed BLOB NOT NULL);
INSERT INTO part VALUES (1099511627776, 1099511627777, x'01a1fdfa46007b05862576207994db6e', x'afd7b0500d821b5829ca6cbb2f71a85273d95dbe36da71b0d30ebd3ffc0886ee72e612a48ab96efc70');
INSERT INTO part VALUES (1099511627777, 1099511627778, NULL, x'214c4985da476542c94e31902869996454dfd03054ec2546ca84f66bebdf9a889d24');
INSERT INTO part VALUES (1099511627778, 1099511627779, x'01a1fdfa46007b05862576207994db6e', x'6ada176697539c787c02d1fff60f38130c6742aced333a55230d114dee28');
INSERT INTO part VALUES (1099511627779, 1099511627780, x'01a1fdfa46007b05862576207994db6e', x'6ff5009e1a7a0700897787bb4d9376bd4342d944ddd260fd619ddf191a6d');
CREATE TABLE person (name TEXT PRIMARY KEY, roles TEXT NOT NULL, password TEXT, disabled INTEGER NOT NULL, failures INTEGER NOT NULL, locked_until_us INTEGER NOT NULL) WITHOUT ROWID;
INSERT INTO person VALUES ('ann', '["admin"]', NULL, 0, 0, 0);
CREATE TABLE proposal (id BLOB PRIMARY KEY, model TEXT NOT NULL, change TEXT NOT NULL, note TEXT NOT NULL, made_by TEXT NOT NULL, at_us INTEGER NOT NULL, state TEXT NOT NULL, approved_by TEXT NOT NULL, rejected TEXT) WITHOUT ROWID;
CREATE TABLE record (id BLOB PRIMARY KEY, follows BLOB, place INTEGER NOT NULL, first_part INTEGER NOT NULL, n_parts INTEGER NOT NULL) WITHOUT ROWID;
INSERT INTO record VALUES (x'01a1fdfa4600700dbb1d66055c2d348d', NULL, 1099511627779, 1099511627778, 1);
INSERT INTO record VALUES (x'01a1fdfa4600709dbc41a9b92c116d8d', NULL, 1099511627778, 1099511627777, 1);
INSERT INTO record VALUES (x'01a1fdfa460072bd92246f1c8862f6b2', x'01a1fdfa4600700dbb1d66055c2d348d', 1099511627780, 1099511627779, 1);
INSERT INTO record VALUES (x'01a1fdfa46007c5d918c2c81dfc70f72', NULL, 1099511627777, 1099511627776, 1);
CREATE TABLE request (scope TEXT NOT NULL, name TEXT NOT NULL, record BLOB NOT NULL, body_digest BLOB NOT NULL, PRIMARY KEY (scope, name)) WITHOUT ROWID;
INSERT INTO request VALUES ('key1', 'payment-1', x'01a1fdfa46007c5d918c2c81dfc70f72', x'd409f298c43843f1dc9ea31d11b6881de8aabf6a4df4bafc4427368213151895');
CREATE TABLE session (secret_digest BLOB PRIMARY KEY, person TEXT NOT NULL, at_us INTEGER NOT NULL, expires_us INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE subject_key (id BLOB PRIMARY KEY, subject BLOB, period INTEGER NOT NULL, wrapped BLOB, erased_us INTEGER) WITHOUT ROWID;
INSERT INTO subject_key VALUES (x'01a1fdfa4600709dbc41a9b92c116d8d', NULL, 692, x'8d15a01fdd6f454a8a26122326240a33ef73f6ca2005b654b5efef5645c3f29cd67b293a349150a811d1d687247aed50863092b14660efdcb91b1ad2b6b128ac', NULL);
INSERT INTO subject_key VALUES (x'01a1fdfa46007b05862576207994db6e', x'0e790cfd8e6cea95244fb9d9f41d16d89c1459561e9d1f9ac1df409b72a91842', 692, x'ba50ae7dd372775336d0bb732a3b49f356351b075296bd187bea4760a8ada7027b32ccdf6de8d8f6e3920eb553b31b7d73279ccbf6d528312cb7bdde2f59ef76', NULL);
CREATE TABLE suspect (record BLOB PRIMARY KEY, of_alert BLOB NOT NULL, risk INTEGER NOT NULL, answered INTEGER NOT NULL) WITHOUT ROWID;
INSERT INTO suspect VALUES (x'01a1fdfa4600700dbb1d66055c2d348d', x'01a1fdfa4600700dbb1d66055c2d348d', 5, 0);
CREATE TABLE tier (tier INTEGER PRIMARY KEY, approvals INTEGER NOT NULL);
CREATE TABLE version (model TEXT NOT NULL, number INTEGER NOT NULL, digest TEXT NOT NULL, note TEXT NOT NULL, made_by TEXT NOT NULL, at_us INTEGER NOT NULL, PRIMARY KEY (model, number)) WITHOUT ROWID;
INSERT INTO version VALUES ('credit', 1, '0101010101010101010101010101010101010101010101010101010101010101', 'first', 'mia', 1795262400000013);
CREATE INDEX alert_card ON alert (card);
CREATE INDEX alert_closed ON alert (closed_us) WHERE closed_us IS NOT NULL;
CREATE INDEX alert_key_alert ON alert_key (of_alert);
CREATE UNIQUE INDEX alert_open ON alert (model, card) WHERE closed_us IS NULL;
CREATE INDEX alert_opened ON alert (opened_us);
CREATE INDEX alert_risk ON alert (risk DESC, id) WHERE closed_us IS NULL;
CREATE INDEX part_key ON part (key_id) WHERE key_id IS NOT NULL;
CREATE INDEX proposal_state ON proposal (state, at_us);
CREATE INDEX record_follows ON record (follows) WHERE follows IS NOT NULL;
CREATE UNIQUE INDEX subject_key_live ON subject_key (subject, period) WHERE subject IS NOT NULL AND wrapped IS NOT NULL;
CREATE INDEX suspect_alert ON suspect (of_alert);
